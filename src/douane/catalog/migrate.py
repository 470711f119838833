"""Bring a catalog to another revision (Alembic); imported only when there is something to do."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from douane.errors import CatalogError

from .mariadb_migration import BASELINE, make_baseline

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, directory: Path = MIGRATIONS, revision: str = "head") -> None:
    """Run the missing migrations of `directory` on the connection that `Server.migrating` gives."""
    if connection.dialect.name == "mysql":
        make_baseline(connection)
    command.upgrade(_config(connection, directory), revision)


def downgrade(connection: Connection, revision: str, directory: Path = MIGRATIONS) -> None:
    """Undo the migrations after `revision`, on the same connection. What the older release does not know is lost.

    Raises CatalogError if no older release could use the database.
    """
    if connection.dialect.name == "mysql" and int(revision) < int(BASELINE):
        raise CatalogError(f"a catalog in MariaDB begins with revision {BASELINE}: no older release can use it")
    command.downgrade(_config(connection, directory), revision)


def _config(connection: Connection, directory: Path) -> Config:
    config = Config()
    # A percent sign is configparser's, not ours; there is one in many a path of a virtual environment.
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
