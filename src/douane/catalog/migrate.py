"""Bring a catalog to another revision (Alembic); imported only when there is something to do."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, directory: Path = MIGRATIONS) -> None:
    """Run the missing migrations of `directory` in the transaction that `connection` is in."""
    command.upgrade(_config(connection, directory), "head")


def downgrade(connection: Connection, revision: str, directory: Path = MIGRATIONS) -> None:
    """Undo the migrations after `revision`, in the transaction that `connection` is in. What the older release does not
    know is lost."""
    command.downgrade(_config(connection, directory), revision)


def _config(connection: Connection, directory: Path) -> Config:
    config = Config()
    # A percent sign is configparser's, not ours; there is one in many a path of a virtual environment.
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
