"""Bring a catalog to the newest revision (Alembic); imported only when there is something to do."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, directory: Path = MIGRATIONS) -> None:
    """Run the missing migrations of `directory` in the transaction that `connection` is in."""
    config = Config()
    # A percent sign is configparser's, not ours; there is one in many a path of a virtual environment.
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
