"""The rings of a run, one for each stage, and the files for stages whose plugins read at random."""

from __future__ import annotations

from .ring import Ring
from .sink import Sink, TempSink
from .temp_files import disk_bytes


class Rings:
    """The memory and the files that a run's processes are started with.

    The last stage's file is `sink`, if there is one. With `stores_received` False an image that no transform has
    changed is not stored.
    """

    def __init__(self, stages: int, slots: int, sink: Sink | None, *, stores_received: bool = True) -> None:
        self.rings: list[Ring] = []
        self._sinks: list[Sink | None] = [None] * stages
        if stores_received or stages > 1:
            self._sinks[-1] = sink
        self._spools: list[TempSink] = []
        self._read_again: set[int] = set()
        try:
            for _ in range(stages):
                self.rings.append(Ring(slots))  # memory is only used where something is written
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.rings)

    def __getitem__(self, number: int) -> Ring:
        return self.rings[number]

    def open_file(self, stage: int) -> int:
        """A read-only descriptor of the file for what `stage` reads; the caller closes it. Raises SinkError."""
        self._read_again.add(stage)
        sink = self._sinks[stage]
        if sink is None:
            # Never the source itself: its owner can still write it, but all plugins must see the same bytes, which are
            # also those that are stored if a transform leaves the image unchanged.
            spool = TempSink("for plugins that read it at random")
            self._spools.append(spool)
            self._sinks[stage] = sink = spool
        return sink.open_read()

    def sink_of(self, stage: int) -> Sink | None:
        """The file that what `stage` reads is written to, if any."""
        return self._sinks[stage]

    def is_read_again(self, stage: int) -> bool:
        """True if the file of `stage` will be read after it is written."""
        return stage in self._read_again

    def spooled(self) -> int:
        """Bytes that the files without a name take on the disk now."""
        return sum(disk_bytes(spool.fd) for spool in self._spools)

    def stop(self) -> None:
        """Have every thread that fills a ring end. Idempotent."""
        for ring in self.rings:
            ring.stop()

    def close(self) -> None:
        """Give the memory and the files back, when all threads that use them have ended. Idempotent."""
        for ring in self.rings:
            ring.close()
        for spool in self._spools:
            spool.close()
        self.rings, self._spools = [], []
