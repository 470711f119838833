"""Which store a machine reaches: only the very store that the catalog means, and not another at the same place.

A folder of the same path on another machine is another store: images that were written there would be seen by nobody
else, and those that are looked for there would seem to be lost. Each store has an identity, which the first process
records in the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from douane.errors import StoreError
from douane.stores import Store

ANOTHER = "store-another"


class StoreGuard:
    """Passes calls to a store on, unless it is another store than the catalog means: then every call fails."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refusal: str | None = None
        """Why it must not be used."""

    @property
    def as_store(self) -> Store:
        """This guard, as the store that it guards."""
        return cast("Store", self)

    def identity(self) -> str:
        """That of the store, also if it is another one."""
        return self._store.identity()

    def expect_images(self) -> None:
        """See :class:`~douane.stores.Store`."""
        self._store.expect_images()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if self.refusal is None or not callable(attribute):
            return attribute
        error = StoreError(self.refusal, code=ANOTHER)

        def refuse(*_arguments: object, **_named: object) -> None:
            raise error

        return refuse

    def compare(self, store_id: str, url: str, recorded: Mapping[str, str]) -> str:
        """Refuse the store from now on if its identity is another than the recorded one, and no longer otherwise.
        Returns its identity. Raises StoreError if the store cannot say it now."""
        identity = self.identity()
        expected = recorded.get(store_id, identity)
        if identity == expected:
            self.refusal = None
        else:
            self.refusal = (
                f"the store {store_id} at {url} is not the one that the catalog means (its identity is {identity}, and "
                f"not {expected}); mount that one there, or if it was replaced for good, run `douane stores forget "
                f"{store_id}`"
            )
        return identity
