"""The threads of one run: those that fill its rings, and the engine's own readers of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec

from douane.errors import DouaneError
from douane.host.base import PluginProcess
from douane.host.events import AuditorOverrun, Event
from douane.plan.model import Plan
from douane.report import Bytes
from douane.stream.digest import Digest
from douane.stream.feed import Feed, OutputFeed, SourceFeed
from douane.stream.pin import LateReaderPin, Pin
from douane.stream.reader import ThreadReader
from douane.stream.ring import Ring
from douane.stream.rings import Rings
from douane.stream.source import FileSource, Source
from douane.stream.target import Target
from douane.stream.writer import Writer

from .events import FilePassedOn, FilesEnded, FileWritten, OutputEnded, ReaderEnded, SourceEnded, SpoolFailed


class StageStreams(msgspec.Struct):
    """The open streams of one stage."""

    ring: int = 0
    pin: Pin | None = None
    output: OutputFeed | None = None
    files: OutputFeed | None = None
    """Of the reader of files."""


class Streams:
    """Fills the rings of a run and reads them. Its threads post events; its methods are called in the loop's thread.

    There is a ring for each stage, the first filled from the source. A stage whose transform leaves the image as it is
    shares its ring with the next, so the last stage need not read the last ring.
    """

    def __init__(self, rings: Rings, source: Source, plan: Plan, post: Callable[[Event], None]) -> None:
        self._rings = rings
        self._source = source
        self._plan = plan
        self._post = post
        self._stages = [StageStreams() for _ in range(len(rings))]
        self._auditor_pins: dict[str, LateReaderPin] = {}
        self._feeds: list[Feed] = []
        self._readers: list[ThreadReader] = []
        self._counting: list[ThreadReader] = []
        self._targets_lock = threading.Lock()
        self._target_error: DouaneError | None = None
        self._stored_ring: Ring | None = None
        self._received_by: list[Digest] = []
        self._stored_by: list[Digest] = []

    # reading

    def begin(self, stage: int, ring_number: int) -> None:
        """Start the digests and the writer of a stage. The store receives the ring of the last stage."""
        ring, self._stages[stage].ring = self._rings[ring_number], ring_number
        if stage == 0:
            self._received_by = [self._digest(ring, name) for name in self._plan.received_digests]
        if stage == len(self._stages) - 1:
            self._stored_ring = ring
            shared = {digest.algorithm: digest for digest in self._received_by} if ring_number == 0 else {}
            shared |= {name: self._digest(ring, name) for name in self._plan.digests if name not in shared}
            self._stored_by = list(shared.values())
            if ring_number == 0:
                self._received_by = self._stored_by
        spool = self._rings.spool_of(stage)
        if spool is not None:
            self._start(Writer(ring, spool, self._spool_post(stage), cached=self._rings.is_cached(stage)), counts=False)
        for target in self._rings.targets_of(stage):
            read_again = self._rings.is_read_again(target)
            post = self._target_post(stage, target, read_again=read_again)
            cached = read_again and self._rings.is_cached(stage)
            self._start(Writer(ring, target.sink, post, cached=cached), counts=False)

    def _digest(self, ring: Ring, algorithm: str) -> Digest:
        digest = Digest(ring, algorithm, lambda reader: self._post(ReaderEnded(reader.error)))
        self._start(digest)
        return digest

    def _spool_post(self, stage: int) -> Callable[[ThreadReader], None]:
        def post(reader: ThreadReader) -> None:
            if reader.error is not None:
                self._post(SpoolFailed(stage, reader.error))
            else:
                self._post(_written(stage, reader))

        return post

    def _target_post(self, stage: int, target: Target, *, read_again: bool) -> Callable[[ThreadReader], None]:
        """The failure of a target that is not required is no error of the run, unless it was the last target."""

        def post(reader: ThreadReader) -> None:
            with self._targets_lock:
                target.error = reader.error
                target.size = reader.size if isinstance(reader, Writer) else None
                targets = self._rings.targets_of(stage)
                is_last = all(other.error is not None and not other.spare for other in targets)
                ends_run = target.required or is_last
                if reader.error is not None and ends_run:
                    self._target_error = self._target_error or reader.error
            if reader.error is not None:
                self._post(ReaderEnded(reader.error if ends_run else None))
            else:
                self._post(_written(stage, reader) if read_again else ReaderEnded(None))

        return post

    def _start(self, reader: ThreadReader, *, counts: bool = True) -> None:
        """`counts`: an error of `reader` is one of the run."""
        self._readers.append(reader)
        if counts:
            self._counting.append(reader)
        reader.start()

    def all_read(self) -> bool:
        """True when all has arrived where it is stored, and is digested and written."""
        ring = self._stored_ring
        return ring is not None and ring.ended and all(reader.is_done for reader in self._readers)

    # filling

    def read_source(self) -> None:
        """Fill the first ring."""
        self._feed(SourceFeed(self._rings[0], self._source, lambda error: self._post(SourceEnded(error))))

    def take_output(self, stage: int, transform: PluginProcess) -> None:
        """Fill the ring after `stage` with what its transform writes."""
        assert transform.output is not None
        source = self._rings[self._stages[stage].ring]
        feed = OutputFeed(
            self._rings[stage + 1],
            transform.output,
            transform.spec.name,
            lambda: source.size,  # all that had arrived for the transform
            max_output=transform.spec.max_output,
            max_ratio=transform.spec.max_ratio,
            ended=lambda error: self._post(OutputEnded(stage, error)),
        )
        self._stages[stage].output = feed
        self._feed(feed)

    def end_output(self, stage: int) -> None:
        """The process that wrote the output has ended: take what its pipe still holds."""
        output = self._stages[stage].output
        if output is not None:
            output.writer_ended()

    def take_files(self, stage: int, reader: PluginProcess) -> None:
        """Fill the ring for the plugins of `stage` that read files with what their reader writes."""
        assert reader.output is not None
        source = self._rings[self._stages[stage].ring]
        feed = OutputFeed(
            self._rings.files[stage],
            reader.output,
            reader.spec.name,
            lambda: source.size,
            max_output=reader.spec.max_output,
            max_ratio=reader.spec.max_ratio,
            ended=lambda error: self._post(FilesEnded(stage, error, self.files_produced(stage))),
        )
        self._stages[stage].files = feed
        self._feed(feed)

    def end_files(self, stage: int) -> None:
        """As :meth:`end_output`, of the reader of files."""
        files = self._stages[stage].files
        if files is not None:
            files.writer_ended()

    def finish_files(self, stage: int) -> None:
        """Tell the plugins that read files that there is no more."""
        self._rings.files[stage].finish()

    def files_produced(self, stage: int) -> int:
        """Bytes that the reader of files of `stage` has put out."""
        files = self._stages[stage].files
        return files.total if files is not None else 0

    def pass_on_file(self, stage: int) -> None:
        """Fill the ring after `stage` with the file that its transform has seen and leaves as it is."""
        source = FileSource(self._rings.open_file(stage), self._source.name)
        ring = self._rings[stage + 1]
        self._feed(SourceFeed(ring, source, lambda error: self._post(FilePassedOn(stage, error)), closes=True))

    def _feed(self, feed: Feed) -> None:
        self._feeds.append(feed)
        feed.start()

    def finish(self, ring: int) -> None:
        """Tell the readers of a ring that there is no more."""
        self._rings[ring].finish()

    def produced(self, stage: int) -> int:
        """Bytes of output that the transform of `stage` has put out."""
        output = self._stages[stage].output
        return output.total if output is not None else 0

    def is_blocked(self, stage: int) -> bool:
        """True if the output of the transform of `stage` waits for those who read it."""
        return self._stages[stage].output is not None and self._rings[stage + 1].is_full

    # pins

    def pin(self, stage: int, ring: int) -> None:
        """Keep the beginning of a ring for the stages after `stage`."""
        self._stages[stage].pin = Pin(self._rings[ring])

    def release_pin(self, stage: int) -> None:
        """End :meth:`pin`."""
        pin, self._stages[stage].pin = self._stages[stage].pin, None
        if pin is not None:
            pin.drop()

    def pin_for_auditor(self, plugin: str, ring: int) -> None:
        """Keep the beginning of a ring for an auditor that is not ready, until another reader needs the slots."""
        self._auditor_pins[plugin] = LateReaderPin(self._rings[ring], lambda: self._post(AuditorOverrun(plugin)))

    def pin_files_for_auditor(self, plugin: str, stage: int) -> None:
        """As :meth:`pin_for_auditor`, in the ring of the reader of files."""
        ring = self._rings.files[stage]
        self._auditor_pins[plugin] = LateReaderPin(ring, lambda: self._post(AuditorOverrun(plugin)))

    def release_auditor_pin(self, plugin: str) -> None:
        """End :meth:`pin_for_auditor`."""
        self._auditor_pins.pop(plugin).drop()

    # the end

    def stop(self) -> None:
        """Read and write nothing more; all threads end as soon as they can. Idempotent."""
        self._rings.stop()
        for reader in self._readers:
            reader.cancel()

    def join(self) -> DouaneError | None:
        """Wait for the readers, after :meth:`stop`; the first error among them that is one of the run."""
        for reader in self._readers:
            reader.join()
        return next((reader.error for reader in self._counting if reader.error is not None), self._target_error)

    def received(self, *, complete: bool) -> Bytes:
        """The bytes that arrived, after the end; `complete` if that is all of the image."""
        return _bytes(self._rings[0], self._received_by, complete=complete)

    def stored(self) -> Bytes:
        """The bytes that came out, after the end."""
        if self._stored_ring is None:
            return Bytes(size=0, complete=False)
        return _bytes(self._stored_ring, self._stored_by, complete=self._stored_ring.ended)

    def close(self) -> None:
        """Wait for all threads, so that the rings can be closed. Idempotent."""
        self.stop()
        for feed in self._feeds:
            feed.join()
        self.join()
        for stage in self._stages:
            outputs, stage.output, stage.files = (stage.output, stage.files), None, None
            for output in outputs:
                if output is not None:
                    output.close()


def _written(stage: int, reader: ThreadReader) -> Event:
    """The file of `stage` is complete, or its writer was cancelled."""
    size = reader.size if isinstance(reader, Writer) else None
    return ReaderEnded(None) if size is None else FileWritten(stage, size)


def _bytes(ring: Ring, digests: Sequence[Digest], *, complete: bool) -> Bytes:
    arrived = Bytes(size=ring.size, complete=complete)
    for digest in digests:
        setattr(arrived, digest.algorithm, digest.hexdigest)
    return arrived
