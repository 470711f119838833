"""The home directory: the embedded catalog and the store."""

from __future__ import annotations

from pathlib import Path

from douane import own_folders
from douane.catalog import Catalog, Task
from douane.errors import CatalogError, PlanError
from douane.stores import Store, open_store

from .recovery import recover

__all__ = ["Home", "default_home"]


def default_home() -> Path:
    """The home directory if none is named. Raises PlanError for a user who has no home."""
    home = own_folders.default_home()
    if home.startswith("~"):
        raise PlanError("this user has no home directory for images: choose a folder with --home or DOUANE_HOME")
    return Path(home)


class Home:
    """A directory with a catalog (``catalog.sqlite3``), and its store: by default ``store/`` in the directory.

    Made on first use, mode 0700.
    """

    catalog: Catalog
    store: Store

    def __init__(self, path: Path, store: str | None = None) -> None:
        """Open it; `store` is the URL of another store. Raises PlanError, which says what to do."""
        self.path = path
        own_folders.register(path)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PlanError(
                f"the home directory {path} cannot be made: {error.strerror}; choose another with --home or DOUANE_HOME"
            ) from error
        try:
            self.catalog = Catalog(path / "catalog.sqlite3")
        except CatalogError as error:
            raise PlanError(f"the catalog in {path} cannot be opened: {error}") from error
        self.store = open_store(store or f"file:{path / 'store'}")
        if getattr(self.store, "needs_leases", False):
            self.catalog.close()
            raise PlanError(
                f"the store {store} is for `douane serve` and `douane worker` only: it does not see which imports of "
                "the command line are running; name a folder"
            )

    def recover(self) -> list[Task]:
        """Finish or undo the imports of processes that died; see :func:`~douane.imports.recovery.recover`."""
        return recover(self.catalog, self.store)

    def close(self) -> None:
        """Close the catalog."""
        self.catalog.close()
