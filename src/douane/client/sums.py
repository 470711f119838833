"""The digests of a file that is sent: each byte is digested once, however often it is sent."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Mapping

ALGORITHMS = ("md5", "sha256", "sha512")
"""Those that an image may have: Glance shows md5 and, by default, sha512."""
_WAITING = 8


class Sums:
    """Digests of the bytes up to `position`, made by a thread for each algorithm."""

    def __init__(self) -> None:
        self.position = 0
        self._digests = {name: hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS}
        self._queues: list[queue.Queue[bytes | None]] = []
        self._threads: list[threading.Thread] = []
        for digest in self._digests.values():
            waiting: queue.Queue[bytes | None] = queue.Queue(_WAITING)
            thread = threading.Thread(target=_update, args=(digest, waiting), name="douane-sums", daemon=True)
            thread.start()
            self._queues.append(waiting)
            self._threads.append(thread)

    def add(self, offset: int, data: bytes) -> None:
        """`data` is at `offset` of the file, at most at `position`; what was digested before is passed over."""
        fresh = data[self.position - offset :] if offset < self.position else data
        if not fresh:
            return
        for waiting in self._queues:
            waiting.put(fresh)
        self.position += len(fresh)

    def finish(self) -> Mapping[str, str]:
        """The digests, in hexadecimal digits, by the name of the algorithm."""
        for waiting in self._queues:
            waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []
        return {name: digest.hexdigest() for name, digest in self._digests.items()}


def _update(digest: hashlib._Hash, waiting: queue.Queue[bytes | None]) -> None:
    while (data := waiting.get()) is not None:
        digest.update(data)
