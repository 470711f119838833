"""Which store an id means: the identity that the store itself has, as the first process saw it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, select

from . import values
from .database import Database
from .records import now
from .rows import insert_once
from .schema import store_identities


class StoreIdentities:
    """The operations on the identities of stores; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def know_store(self, store_id: str, identity: str) -> str:
        """Record the identity of a store that the catalog does not know yet; return the recorded one."""
        row = {
            "store": values.text("the id of a store", store_id),
            "identity": values.text("the identity of a store", identity),
            "created_at": now(),
        }
        recorded = select(store_identities.c.identity).where(store_identities.c.store == store_id)
        with self._database.write() as connection:
            insert_once(connection, store_identities, row)
            return str(connection.execute(recorded).scalar_one())

    def store_identities(self) -> Mapping[str, str]:
        """The recorded identities, by the id of the store."""
        with self._database.read() as connection:
            rows = connection.execute(select(store_identities.c.store, store_identities.c.identity))
            return {row.store: row.identity for row in rows}

    def forget_store(self, store_id: str) -> bool:
        """Forget an identity: the operator has replaced the store, and the next process records the new one."""
        gone = delete(store_identities).where(store_identities.c.store == store_id)
        with self._database.write() as connection:
            return connection.execute(gone).rowcount == 1
