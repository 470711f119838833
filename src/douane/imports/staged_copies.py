"""The bytes of one attempt of an import, staged under one key in each of its stores."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence

from douane.engine import Target
from douane.errors import BadValue, DouaneError, StoreError
from douane.stores import Staged

from .publishing import StoreOf

log = logging.getLogger("douane")


class StagedCopies:
    """Staged in every store that works; if all are `required`, none may fail. A context manager that discards them,
    unless `keep` was called."""

    def __init__(
        self,
        store_of: StoreOf,
        store_ids: Sequence[str],
        key: str,
        *,
        required: bool,
        present: Mapping[str, str] | None = None,
        spare: bool = False,
    ) -> None:
        """`present`: by the id of a store, the key under which it has the very bytes already, which it need not write
        again. `spare`: a store that is not among these has them, too. Raises StoreError or BadValue if a store that is
        required fails, or if all do and no other has them."""
        self._present = present or {}
        self.targets: dict[str, Target] = {}
        """By the id of the store."""
        self._staged: dict[str, Staged] = {}
        self._errors: dict[str, DouaneError] = {}
        self._kept = False
        try:
            for store_id in store_ids:
                self._stage(store_of, store_id, key, required=required)
            if store_ids and not self._staged and not spare:
                raise next(iter(self._errors.values()))
            has_linked = len(self._staged) > len(self.targets)
            for target in self.targets.values():
                target.spare = spare or has_linked
        except BaseException:
            self.discard()
            raise

    def _stage(self, store_of: StoreOf, store_id: str, key: str, *, required: bool) -> None:
        try:
            if self._link(store_of, store_id, key):
                return
            staged = store_of(store_id).stage(key)
        except (StoreError, BadValue) as error:
            if required:
                raise
            log.error("the store %s failed: %s", store_id, error)
            self._errors[store_id] = error
            return
        self._staged[store_id] = staged
        self.targets[store_id] = Target(staged, required=required)

    def _link(self, store_of: StoreOf, store_id: str, key: str) -> bool:
        """True if the store has the bytes under `key`, too, from now on. Where that fails, they are written."""
        if store_id not in self._present:
            return False
        try:
            self._staged[store_id] = store_of(store_id).link_staged(self._present[store_id], key)
        except StoreError as error:
            log.info("the store %s writes bytes again that it has: %s", store_id, error)
            return False
        return True

    @property
    def store_ids(self) -> list[str]:
        """The stores that have the bytes, or receive them, and have not failed."""
        return [store_id for store_id in self._staged if store_id not in self.failed]

    @property
    def failed(self) -> dict[str, DouaneError]:
        """The stores that do not have the bytes, and why."""
        failed = {store_id: target.error for store_id, target in self.targets.items() if target.error is not None}
        return {**self._errors, **failed}

    def keep(self) -> None:
        """Give up the claims on the bytes: the task's lease is the claim from now on, and who takes the task over finds
        them. In stores that failed they are discarded."""
        self._kept = True
        for store_id, staged in self._staged.items():
            if store_id in self.targets and self.targets[store_id].size is None:
                _discard(staged, store_id)
            staged.close()

    def discard(self) -> None:
        """Delete the bytes. Idempotent."""
        if not self._kept:
            for store_id, staged in self._staged.items():
                _discard(staged, store_id)

    def __enter__(self) -> StagedCopies:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def _discard(staged: Staged, store_id: str) -> None:
    with contextlib.closing(staged):
        try:
            staged.discard()
        except StoreError as error:  # the next sweep deletes them
            log.error("staged bytes stay in the store %s: %s", store_id, error)
