"""Imports: an image through the engine into the store, with its state in the catalog, whatever happens on the way.

`image_import.import_image` takes the steps of every import; `recovery.recover` finishes or undoes the imports of
processes that died; `Home` (`home.py`) opens the catalog and the store that both work on.

A service has workers (`worker.py`), each with one attempt of a task at a time (`runs.py`): from a door as the bytes
come (`inline.py`, `worker_side.py`), or from the catalog's queue (`task_sources.py`). `publishing.py` has the steps
from accepted bytes to an active image, for both; `copies.py` copies to further stores; idle workers do `settling.py`.

An import method provides the bytes. A new method is one module with a class that implements `base.ImportMethod`, and
one line in `base.METHODS`.
"""

from .base import ImportMethod, open_import
from .home import Home, default_home
from .image_import import Imported, import_image

__all__ = ["Home", "ImportMethod", "Imported", "default_home", "import_image", "open_import"]
