"""The interface of the catalog: images and import tasks in one database."""

from pathlib import Path
from types import TracebackType

from .chores import Chores
from .contention import retried
from .copies import Copies
from .database import Database
from .edits import Edits
from .endings import Endings
from .find import Find
from .identities import StoreIdentities
from .images import Images
from .import_tasks import ImportTasks
from .kept_reports import KeptReports
from .leases import Leases
from .members import Members
from .open_uploads import OpenUploads
from .queued_imports import QueuedImports
from .statistics import Statistics
from .task_list import TaskList
from .task_queries import TaskQueries
from .uploads import Uploads
from .usage import ProjectUsage
from .workers import Workers


@retried
class Catalog(
    Images,
    Find,
    Edits,
    Members,
    ImportTasks,
    Uploads,
    OpenUploads,
    QueuedImports,
    Leases,
    Workers,
    TaskQueries,
    Chores,
    StoreIdentities,
    Endings,
    TaskList,
    KeptReports,
    ProjectUsage,
    Statistics,
    Copies,
):
    """The catalog in a SQLite file or a PostgreSQL database, made or migrated when it is opened.

    Safe for threads and for several processes at once; open another after fork(2). Every failure is a CatalogError:
    NotFound and Conflict for requests that do not fit the state. See :mod:`douane.catalog.states`.
    """

    def __init__(self, path_or_url: Path | str, *, is_checked: bool = False) -> None:
        """Open the catalog. Raises CatalogError: of a later release, without permission, damaged, ….

        `is_checked`: another process of the same service has opened it, so that a server that is away now is no reason
        not to begin.
        """
        self._database = Database(path_or_url, is_checked=is_checked)

    def close(self) -> None:
        """Close the database. Idempotent."""
        self._database.close()

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
