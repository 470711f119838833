"""Bring a catalog to another revision (Alembic); imported only when there is something to do."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnClause, Connection, column, select, table, update

from douane.errors import CatalogError

from .mariadb_migration import BASELINE, make_baseline

MIGRATIONS = Path(__file__).parent / "migrations"
_REVISION: ColumnClause[str] = column("version_num")
_VERSIONS = table("alembic_version", _REVISION)


def upgrade(connection: Connection, directory: Path = MIGRATIONS, revision: str = "head") -> None:
    """Run the missing migrations of `directory` on the connection that `Server.migrating` gives."""
    if connection.dialect.name == "mysql":
        make_baseline(connection)
    command.upgrade(_config(connection, directory), revision)


def downgrade(connection: Connection, revision: str, directory: Path = MIGRATIONS) -> None:
    """Undo the migrations after `revision`, on the same connection. What the older release does not know is lost.

    Raises CatalogError if no older release could use the database.
    """
    config = _config(connection, directory)
    if connection.dialect.name != "mysql":
        command.downgrade(config, revision)
        return
    if int(revision) < int(BASELINE):
        raise CatalogError(f"a catalog in MariaDB begins with revision {BASELINE}: no older release can use it")
    current = connection.execute(select(_REVISION)).scalar_one()
    with Operations.context(MigrationContext.configure(connection)):
        for script in ScriptDirectory.from_config(config).iterate_revisions(current, revision):
            # First of all: a release that finds half of a revision undone does it again.
            connection.execute(update(_VERSIONS).values(version_num=script.down_revision))
            script.module.downgrade()


def _config(connection: Connection, directory: Path) -> Config:
    config = Config()
    # A percent sign is configparser's, not ours; there is one in many a path of a virtual environment.
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
