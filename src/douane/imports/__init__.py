"""Imports: an image through the engine into the store, its state in the catalog, whatever happens."""

from .from_file import Imported, import_image
from .home import Home, default_home

__all__ = ["Home", "Imported", "default_home", "import_image"]
