"""The revision of a catalog, read and taken back without opening it as this release does."""

from __future__ import annotations

from pathlib import Path

from douane.errors import BadValue

from .database import HEAD, Database


def read_revisions(path_or_url: Path | str) -> tuple[str, str]:
    """The revision of the catalog, and the oldest release that may use it. Raises CatalogError."""
    database = Database(path_or_url, is_checked=True)
    try:
        with database.read() as connection:
            revision = str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
            oldest = revision
            if revision >= "0008":
                query = "SELECT value FROM marks WHERE name = 'oldest_revision'"
                oldest = str(connection.exec_driver_sql(query).scalar_one())
            return revision, oldest
    finally:
        database.close()


def downgrade(path_or_url: Path | str, revision: str) -> None:
    """Undo all migrations after `revision`. Raises BadValue; CatalogError, and then nothing was undone, but in MariaDB,
    where the next opening of the catalog does again what was undone."""
    from .migrate import downgrade as bring_down

    current, _ = read_revisions(path_or_url)
    if not (revision.isdecimal() and len(revision) == len(HEAD) and "0001" <= revision <= current):
        raise BadValue(f"{revision!r:.40} is no revision to go back to: expected 0001 to {current}")
    if current > HEAD:
        raise BadValue(
            f"the catalog has revision {current}, which a later release has to take back: this one has {HEAD}"
        )
    database = Database(path_or_url, is_checked=True)
    try:
        with database.migrate() as connection:
            bring_down(connection, revision)
    finally:
        database.close()
