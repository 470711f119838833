"""The catalog as its callers see it: images and import tasks in one database."""

from pathlib import Path
from types import TracebackType

from douane.catalog.database import Database
from douane.catalog.images import Images
from douane.catalog.import_tasks import ImportTasks


class Catalog(Images, ImportTasks):
    """The catalog in one SQLite file, made or brought up to date when it is opened.

    Safe for threads and for several processes at once; open one of your own after fork(2). Every failure is a
    CatalogError; NotFound and Conflict tell what was asked for wrongly. See :mod:`douane.catalog.states`.
    """

    def __init__(self, path_or_url: Path | str) -> None:
        """Open the catalog. Raises CatalogError: of a later release, no permission, a damaged file, …."""
        self._database = Database(path_or_url)

    def close(self) -> None:
        """Close the database. Idempotent."""
        self._database.close()

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
