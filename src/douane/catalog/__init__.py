"""The catalog: the one owner of image state.

:class:`Catalog` keeps images and import tasks; :mod:`douane.catalog.states` says which state may follow
which.
"""

from douane.catalog.catalog import Catalog
from douane.catalog.records import Image, Task

__all__ = ["Catalog", "Image", "Task"]
