"""Where the bytes of images lie.

:class:`FileStore` keeps them in a directory: staged first, then made visible in one atomic step. A store
knows nothing of image states, of plugins or of who asks; it imports nothing else of Douane.
"""

from douane.stores.file import FileStore
from douane.stores.staged import Staged

__all__ = ["FileStore", "Staged"]
