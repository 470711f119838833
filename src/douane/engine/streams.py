"""The bytes of one pass: the rings, what fills them, and the engine's own readers of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from douane.errors import DouaneError
from douane.host.loop import Loop
from douane.report import Bytes
from douane.stream.digest import Digest
from douane.stream.feed import Feed
from douane.stream.reader import ThreadReader
from douane.stream.ring import Ring
from douane.stream.sink import Sink, Spool
from douane.stream.source import Source
from douane.stream.temp_files import on_disk
from douane.stream.writer import Writer


class Streams:
    """Everything in a pass that holds bytes. Its threads report to the loop; the rest is called in the loop's thread.

    There is a ring for each segment of the plan, the first filled from the source. A segment whose transform
    left the image as it is shares the ring of the one before, so the last segment's ring need not be the last.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink | None,
        digests: Sequence[str],
        received_digests: Sequence[str],
        loop: Loop,
        *,
        failed: Callable[[DouaneError], None],
        written: Callable[[int], None],
        unspooled: Callable[[int, DouaneError], None],
    ) -> None:
        """`failed` is called when a reader failed, `written(segment)` when a segment's file is whole, and
        `unspooled(segment, error)` when it could not be written, and was not what is stored."""
        self.source = source
        self.rings: list[Ring] = []
        self.stored_ring: Ring | None = None
        self._sink = sink
        self._algorithms = digests
        self._received_algorithms = received_digests
        self._loop = loop
        self._failed = failed
        self._written = written
        self._unspooled = unspooled
        self._feeds: list[Feed] = []
        self._readers: list[ThreadReader] = []
        self._received_by: list[Digest] = []
        self._stored_by: list[Digest] = []
        self._spools: dict[int, Spool] = {}
        self._read_again: set[int] = set()
        self._whole: set[int] = set()
        self._all_received = False

    def open(self, segments: int, slots: int) -> None:
        """Make the rings. Memory is only used where something is written."""
        self.rings = [Ring(slots) for _ in range(segments)]

    def add_feed(self, feed: Feed) -> None:
        """Start something that fills a ring."""
        self._feeds.append(feed)
        feed.start()

    def receive(self) -> None:
        """Begin to take the digests of what arrives."""
        self._received_by = [self._digest(self.rings[0], name) for name in self._received_algorithms]

    def received_all(self) -> None:
        """The source is at its end."""
        self.rings[0].finish()
        self._all_received = True

    def begin(self, segment: int, ring: Ring) -> None:
        """`segment` reads `ring` from now on; in the last one, that is what is stored."""
        if segment == len(self.rings) - 1:
            self.stored_ring = ring
            there = {each.algorithm: each for each in self._received_by} if ring is self.rings[0] else {}
            there |= {name: self._digest(ring, name) for name in self._algorithms if name not in there}
            self._stored_by = list(there.values())
            if ring is self.rings[0]:
                self._received_by = self._stored_by
        sink = self._sink_of(segment)
        if sink is not None:
            self._start(
                Writer(
                    ring,
                    sink,
                    lambda reader: self._loop.call(lambda: self._ended(reader, segment)),
                    read_again=segment in self._read_again,
                )
            )

    def _sink_of(self, segment: int) -> Sink | None:
        if segment == len(self.rings) - 1 and self._sink is not None:
            return self._sink
        return self._spools.get(segment)

    def _digest(self, ring: Ring, algorithm: str) -> Digest:
        digest = Digest(ring, algorithm, lambda reader: self._loop.call(lambda: self._ended(reader, None)))
        self._start(digest)
        return digest

    def _start(self, reader: ThreadReader) -> None:
        self._readers.append(reader)
        reader.start()

    def _ended(self, reader: ThreadReader, segment: int | None) -> None:
        if reader.error is not None and reader.spools and segment is not None:
            self._unspooled(segment, reader.error)
        elif reader.error is not None:
            self._failed(reader.error)
        elif segment is not None and isinstance(reader, Writer) and reader.size is not None:
            self._whole.add(segment)
            self._written(segment)

    # files, for those who read at random

    def open_file(self, segment: int) -> int:
        """A read-only descriptor of the file that holds what `segment` reads, once it is all there."""
        self._read_again.add(segment)
        sink = self._sink_of(segment)
        if sink is not None:
            return sink.open_read()
        # Never the source itself: its owner can still write it, and what is looked at, and what is kept after a
        # transform that leaves it unchanged, must be the bytes that everybody else has seen.
        self._spools[segment] = Spool()
        return self._spools[segment].open_read()

    def is_file_whole(self, segment: int) -> bool:
        """True when all that `segment` reads is in its file."""
        return segment in self._whole

    def spooled(self) -> int:
        """Bytes that the files without a name take on the disk now."""
        return sum(on_disk(spool.fd) for spool in self._spools.values())

    # the end

    def all_read(self) -> bool:
        """True when everything has arrived, and been digested and written."""
        ring = self.stored_ring
        return ring is not None and ring.ended and all(reader.done for reader in self._readers)

    def stop(self) -> None:
        """Nothing more is to be read or written; threads end as soon as they can."""
        for ring in self.rings:
            ring.stop()
        for reader in self._readers:
            reader.cancel()

    def received(self) -> Bytes:
        """What arrived. After the end."""
        return _bytes(self.rings[0], self._received_by, complete=self._all_received)

    def stored(self) -> Bytes:
        """What came out. After the end, and only if nothing was ended early."""
        if self.stored_ring is None:
            return Bytes(size=0, complete=False)
        return _bytes(self.stored_ring, self._stored_by, complete=self.stored_ring.ended)

    def join(self) -> DouaneError | None:
        """Wait for the readers, after :meth:`stop`; the first error among them."""
        for reader in self._readers:
            reader.join()
        return next((reader.error for reader in self._readers if reader.error is not None and not reader.spools), None)

    def close(self) -> None:
        """Wait for all threads and give everything back. Idempotent."""
        self.stop()
        for feed in self._feeds:
            feed.join()
        self.join()
        for ring in self.rings:
            ring.close()
        for spool in self._spools.values():
            spool.close()
        self.rings, self._readers, self._feeds, self._spools = [], [], [], {}


def _bytes(ring: Ring, digests: Sequence[Digest], *, complete: bool) -> Bytes:
    found = Bytes(size=ring.size, complete=complete)
    for digest in digests:
        setattr(found, digest.algorithm, digest.hexdigest)
    return found
