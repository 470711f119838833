"""The bytes of an image in a pool, read one object ahead."""

from __future__ import annotations

import threading

from douane.errors import StoreError

from .errors import explain
from .options import RbdOptions
from .pool import Helpers
from .process import Helper, HelperError

READ = 4 << 20
"""Bytes that are asked for at once."""


class RbdBytes:
    """See `StoredBytes`. `image` is Ceph's own id of the image, which no other image has."""

    fd = None

    def __init__(self, helpers: Helpers, options: RbdOptions, name: str, snap: str | None) -> None:
        """Open the image. Raises StoreError."""
        self._helpers = helpers
        self._options = options
        self._lock = threading.Lock()
        self._helper: Helper | None = helpers.borrow()
        self._buffer = memoryview(bytearray(READ))
        self._start = self._end = 0  # the range of the image that is in the buffer
        self._awaited: int | None = None
        self._is_closed = False
        try:
            opened = self._helper.call("open", name=name, snap=snap, read_only=True)
        except HelperError as error:
            self._release()
            raise explain(error, f"read the image {name}", options) from error
        self.size = int(opened["size"])
        self.image = str(opened["id"])
        self.watchers = int(opened["watchers"])

    def read_into(self, view: memoryview, offset: int) -> int:
        """See `StoredBytes`."""
        with self._lock:
            if self._helper is None or self._is_closed:
                raise StoreError("cannot read the image: it was closed", code="store-unreadable")
            filled = 0
            try:
                while filled < len(view) and offset + filled < self.size:
                    filled += self._read_some(self._helper, view[filled:], offset + filled)
            except HelperError as error:
                self._helper.is_broken = True
                raise explain(error, "read the image", self._options) from error
            return filled

    def _read_some(self, helper: Helper, view: memoryview, offset: int) -> int:
        if not self._start <= offset < self._end:
            self._fill(helper, offset)
        piece = self._buffer[offset - self._start : self._end - self._start][: len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def _fill(self, helper: Helper, offset: int) -> None:
        if self._awaited != offset:
            self._drop_awaited(helper)
            helper.ask_for(offset, min(READ, self.size - offset))
        is_sequential = offset in (self._awaited, self._end)
        self._awaited = None
        self._start = self._end = offset
        length = helper.receive(self._buffer)
        if not length:
            raise HelperError(5, f"the image ended at byte {offset}")
        self._end = offset + length
        if is_sequential and self._end < self.size:
            helper.ask_for(self._end, min(READ, self.size - self._end))
            self._awaited = self._end

    def _drop_awaited(self, helper: Helper) -> None:
        if self._awaited is not None:
            self._awaited = None
            helper.receive(memoryview(bytearray(READ)))

    def close(self) -> None:
        """See `StoredBytes`. It does not wait: a door closes downloads between the events of others, and the cluster
        may be away."""
        if not self._is_closed:
            self._is_closed = True
            threading.Thread(target=self._close, name="douane-rbd-close", daemon=True).start()

    def _close(self) -> None:
        with self._lock:  # a read in another thread comes to its end first
            if self._helper is None:
                return
            try:
                if not self._helper.is_broken:
                    self._drop_awaited(self._helper)
                    self._helper.call("close")
            except HelperError:
                self._helper.is_broken = True
            self._release()

    def _release(self) -> None:
        helper, self._helper = self._helper, None
        if helper is not None:
            self._helpers.give_back(helper)
