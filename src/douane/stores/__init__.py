"""Where the bytes of images are kept: staged first, then made visible in one atomic step.

A store knows nothing of image states, of plugins or of users; it imports nothing of Douane but its errors,
and notes its folders and secrets in `own_folders.py`, so that no plugin is granted them. `base.py`
has the protocols `Store`, `Staged` and `StoredBytes`. A new store is one module with a class that implements `Store`,
and one line in `base.STORES`. `FileStore` (`file.py`) keeps images in a directory.
"""

from .base import Staged, Store, StoredBytes, open_store
from .file import FileStore
from .saving import save

__all__ = ["FileStore", "Staged", "Store", "StoredBytes", "open_store", "save"]
