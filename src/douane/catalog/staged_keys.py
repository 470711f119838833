"""The keys of staged bytes: UUIDs of version 8 that begin with a tag of the catalog.

A store is swept of staged bytes that belong to no import of the catalog. If another catalog uses the store as well,
such as that of a service whose configuration does not name the database, its staged bytes look the same, and only the
tag tells them apart. Keys of other versions come from a release without tags.
"""

import secrets
import uuid

from sqlalchemy import Connection, select

from .rows import insert_once
from .schema import marks

CATALOG_ID = "catalog_id"
_TAG_CHARACTERS = len("01234567-0123")
_VERSION = 8
_VARIANT = 0b10


def new_key(connection: Connection) -> str:
    """A new key of this catalog, which gets its identity with the first one."""
    tag = _known_tag(connection)
    if tag is None:
        insert_once(connection, marks, {"name": CATALOG_ID, "value": str(uuid.uuid4())})
        tag = catalog_tag(connection)
    assert tag is not None, "it was recorded"
    low = _VARIANT << 62 | secrets.randbits(62)
    number = int(tag.replace("-", ""), 16) << 80 | _VERSION << 76 | secrets.randbits(12) << 64 | low
    return str(uuid.UUID(int=number))


def catalog_tag(connection: Connection) -> str | None:
    """What the keys of this catalog begin with; None if it has made none."""
    value = connection.execute(select(marks.c.value).where(marks.c.name == CATALOG_ID)).scalar()
    return None if value is None else str(value)[:_TAG_CHARACTERS]


def _known_tag(connection: Connection) -> str | None:
    """The same. It never changes, so a connection is asked once: each claim has a key."""
    known: str | None = connection.info.get(CATALOG_ID)
    if known is None and (known := catalog_tag(connection)) is not None:
        connection.info[CATALOG_ID] = known
    return known


def is_of_another(key: str, tag: str | None) -> bool:
    """True if a catalog with another tag than `tag` made the key."""
    return uuid.UUID(key).version == _VERSION and key[:_TAG_CHARACTERS] != tag
