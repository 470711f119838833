"""The rings of a run, one for each stage, and the files for stages whose plugins read at random."""

from __future__ import annotations

from collections.abc import Container, Sequence

from .page_cache import bypass_cache
from .ring import Ring
from .sink import Sink, TempSink
from .target import Target
from .temp_files import disk_bytes


class Rings:
    """The memory and the files that a run's processes are started with.

    What the last stage reads is written to every target. With `stores_received` False an image that no transform has
    changed is not stored.
    """

    def __init__(
        self,
        stages: int,
        slots: int,
        targets: Sequence[Target] = (),
        *,
        stores_received: bool = True,
        in_place: Sink | None = None,
        with_files: Sequence[int] = (),
        cached: Container[int] = (),
    ) -> None:
        """`in_place` is the file of the image itself, for plugins of the first stage that read at random. `with_files`
        are the stages whose plugins read the files in the image, `cached` those with plugins that read all of it at
        random. What only readers of the guest look at is written and read around the page cache."""
        self.rings: list[Ring] = []
        self.files: dict[int, Ring] = {}
        """The rings with the records of files, by stage."""

        self._stores = stores_received or stages > 1
        self._targets: tuple[Target, ...] = ()
        self._spools: dict[int, TempSink] = {}
        self._read_again: Target | None = None
        self._in_place = in_place
        self._cached = cached
        self.add_targets(targets)
        try:
            for _ in range(stages):
                self.rings.append(Ring(slots))  # memory is only used where something is written
            for stage in with_files:
                self.files[stage] = Ring(slots)
        except BaseException:
            self.close()
            raise

    def add_targets(self, targets: Sequence[Target]) -> None:
        """Write the stored bytes to `targets`, too; before the last stage begins."""
        if self._stores:
            self._targets += tuple(targets)

    def __len__(self) -> int:
        return len(self.rings)

    def __getitem__(self, number: int) -> Ring:
        return self.rings[number]

    def open_file(self, stage: int) -> int:
        """A read-only descriptor of the file for what `stage` reads; the caller closes it. Raises SinkError."""
        if stage == 0 and self._in_place is not None and (fd := self._in_place.open_read()) is not None:
            return fd
        if stage == len(self.rings) - 1 and stage not in self._spools:
            fd = self._open_target()
            if fd is not None:
                return fd
        if stage not in self._spools:
            # Never the source itself: its owner can still write it, but all plugins must see the same bytes, which are
            # also those that are stored if a transform leaves the image unchanged.
            self._spools[stage] = TempSink("for plugins that read it at random")
        return self._spools[stage].open_read()

    def open_for_reader(self, stage: int) -> int:
        """As :meth:`open_file`, for the reader of files: open with O_DIRECT if the file is written so."""
        fd = self.open_file(stage)
        if not self.is_cached(stage):
            bypass_cache(fd)
        return fd

    def is_cached(self, stage: int) -> bool:
        """True if the file for what `stage` reads is written to the page cache, or is there already."""
        return stage in self._cached or (stage == 0 and self._in_place is not None)

    def _open_target(self) -> int | None:
        """A descriptor of the bytes that a target keeps, of the first that can give one.

        A target that is not required may fail while the run goes on, and with it who reads its file.
        """
        targets = (self._read_again,) if self._read_again is not None else self._targets
        for target in targets:
            if target.required:
                fd = target.sink.open_read()
                if fd is not None:
                    self._read_again = target
                    return fd
        return None

    def spool_of(self, stage: int) -> Sink | None:
        """The temporary file that what `stage` reads is written to, if any; or the file that has it already."""
        if stage == 0 and self._in_place is not None:
            return self._in_place
        return self._spools.get(stage)

    def targets_of(self, stage: int) -> tuple[Target, ...]:
        """The targets that what `stage` reads is written to: all targets for the last stage, none for another."""
        return self._targets if stage == len(self.rings) - 1 else ()

    def is_read_again(self, target: Target) -> bool:
        """True if plugins read the file of `target` after it is written."""
        return target is self._read_again

    def spooled(self) -> int:
        """Bytes that the files without a name take on the disk now."""
        return sum(disk_bytes(spool.fd) for spool in self._spools.values())

    def stop(self) -> None:
        """Have every thread that fills a ring end. Idempotent."""
        for ring in (*self.rings, *self.files.values()):
            ring.stop()

    def close(self) -> None:
        """Give the memory and the files back, when all threads that use them have ended. Idempotent."""
        for ring in (*self.rings, *self.files.values()):
            ring.close()
        for spool in self._spools.values():
            spool.close()
        self.rings, self.files, self._spools = [], {}, {}
