"""Make a new catalog in SQLite as the migrations make it, without Alembic.

Alembic's import took a quarter of the processor time of the first command in a new home. PostgreSQL's database is made
once for many machines, by the migrations.
"""

from pathlib import Path

from sqlalchemy import Connection

_FOLDER = Path(__file__).parent / "migrations" / "sqlite"


def create(connection: Connection, revision: str) -> None:
    """Make the tables of this revision in an empty database, in the transaction of the caller."""
    lines = (_FOLDER / f"{revision}.sql").read_text().splitlines(keepends=True)
    statements = "".join(line for line in lines if not line.startswith("--")).split(";\n")
    for statement in filter(None, statements):
        connection.exec_driver_sql(statement)
