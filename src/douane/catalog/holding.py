"""Hold what a transaction reads and does not change, until its end.

In SQLite the transaction has the only lock. In a cluster of MariaDB only changes of rows are seen by other nodes: of
two transactions that change a row, one is refused at its end, and taken again.
"""

from sqlalchemy import Connection, func, select, text

_QUOTAS = text("INSERT INTO locks (name, changes) VALUES (:name, 1) ON DUPLICATE KEY UPDATE changes = changes + 1")
_IMAGE = text("UPDATE images SET held = held + 1 WHERE id = :id")


def hold_quotas(connection: Connection, owner: str | None) -> None:
    """Hold the quotas of a project, or of images of no project."""
    name = f"quota {owner}"
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"douane {name}", 0))))
    elif connection.dialect.name == "mysql":
        connection.execute(_QUOTAS, {"name": name})


def hold_image(connection: Connection, image_id: str) -> None:
    """Hold the row of an image that a step has found in the right state, and that it does not change."""
    if connection.dialect.name == "mysql":
        connection.execute(_IMAGE, {"id": image_id})
