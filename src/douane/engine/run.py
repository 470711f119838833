"""One run of one image through one plan: events reach :class:`Decisions`, and their actions are executed here."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from douane.declared import DeclaredImage
from douane.errors import DouaneError
from douane.host.base import PluginProcess
from douane.host.events import Event, PluginAnswered, PluginReady
from douane.host.launch import Launched
from douane.host.options import Progress, Watch
from douane.report import Verdict
from douane.stream.source import Source

from .actions import (
    Action,
    BeginStage,
    EndFiles,
    EndOutput,
    FailPlugin,
    FinishFiles,
    FinishRing,
    ForceDecision,
    PassOnFile,
    Pin,
    PinFilesForAuditor,
    PinForAuditor,
    ReadSource,
    RefuseOutput,
    ReleaseAuditorPin,
    ReleasePin,
    ReleasePlugin,
    SendFiles,
    SendImage,
    StopPlugin,
    StopStreams,
    TakeFiles,
    TakeOutput,
    WithdrawAccept,
)
from .decisions import Decisions, RunState
from .events import AllRead, RingFull, RunStarted, SourceEnded, Tick
from .stage import PluginState
from .stage_flow import Until
from .streams import Streams


class Run:
    """See the module. A context manager; made, used and closed in the thread of the loop of `launched`."""

    def __init__(
        self,
        launched: Launched,
        source: Source,
        image: DeclaredImage,
        *,
        progress: Progress | None = None,
        watch: Watch | None = None,
        until: Until = "stored",
        findings: Mapping[str, Any] | None = None,
    ) -> None:
        """`progress` and `watch` are called about ten times a second; for the others see :class:`Decisions`."""
        self.launched = launched
        self.source = source
        self.error: DouaneError | None = None
        """The failure of the engine, source or sink that decided the image."""

        self.streams = Streams(launched.rings, source, launched.plan, launched.loop.post)
        self.decisions = Decisions(
            [PluginState.of(process) for process in launched.plugins],
            image,
            deadline=launched.plan.deadline,
            until=until,
            findings=findings,
            readers={reader.plugin.stage: reader.spec.name for reader in launched.readers},
        )
        self.all_received = False
        self._progress = progress
        self._watch = watch
        self._all_read = False
        self._processes = {process.spec.name: process for process in launched.processes}

    def go(self) -> None:
        """Let the image through. Returns when it is decided; what came of it is in the attributes and verdicts."""
        for process in self.launched.processes:  # events from before the image
            if process.ready:
                self._handle(PluginReady(process.spec.name, process.needs, process.misjudged, process.reads_findings))
            if process.verdict is not None:
                self._handle(PluginAnswered(process.spec.name, process.verdict))
        self._handle(RunStarted(self.source.size))
        self.launched.loop.run(self._handle, lambda: self.decisions.state is RunState.DECIDED, self._tick)
        self._conclude()

    def _handle(self, event: Event) -> None:
        if isinstance(event, PluginAnswered):
            self._check_usable(self._processes[event.plugin])
        if isinstance(event, SourceEnded) and event.error is None:
            self.all_received = True
        for action in self.decisions.handle(event):
            self._execute(action)
        if not self._all_read and self.streams.all_read():
            self._all_read = True
            self.launched.loop.post(AllRead())

    def _check_usable(self, process: PluginProcess) -> None:
        """The constructor of a plugin that reads files may end when the image arrives already. Raises PlanError."""
        is_open = self.decisions.state is not RunState.DECIDED
        if process.error is not None and process.spec.mode != "audit" and is_open:
            raise process.error

    def _execute(self, action: Action) -> None:
        streams, processes = self.streams, self._processes
        match action:
            case BeginStage(stage, ring):
                streams.begin(stage, ring)
            case ReadSource():
                streams.read_source()
            case SendImage(plugin, facts, ring):
                processes[plugin].send_image(facts, self.launched.rings[ring] if ring is not None else None)
            case SendFiles(plugin, facts, stage):
                processes[plugin].send_image(facts, self.launched.rings.files[stage])
            case PinFilesForAuditor(plugin, stage):
                streams.pin_files_for_auditor(plugin, stage)
            case TakeFiles(stage, reader):
                streams.take_files(stage, processes[reader])
            case EndFiles(stage):
                streams.end_files(stage)
            case FinishFiles(stage):
                streams.finish_files(stage)
            case Pin(stage, ring):
                streams.pin(stage, ring)
            case ReleasePin(stage):
                streams.release_pin(stage)
            case PinForAuditor(plugin, ring):
                streams.pin_for_auditor(plugin, ring)
            case ReleaseAuditorPin(plugin):
                streams.release_auditor_pin(plugin)
            case ForceDecision(plugin):
                processes[plugin].force_decision()
            case TakeOutput(stage, plugin):
                streams.take_output(stage, processes[plugin])
            case EndOutput(stage):
                streams.end_output(stage)
            case PassOnFile(stage):
                streams.pass_on_file(stage)
            case FinishRing(ring):
                streams.finish(ring)
            case StopPlugin(plugin):
                processes[plugin].stop()
            case FailPlugin(plugin, outcome, code, message, detail):
                processes[plugin].fail(outcome, code, message, detail)
            case WithdrawAccept(plugin, outcome, code, message):
                processes[plugin].withdraw(outcome, code, message)
            case RefuseOutput(plugin, code, message):
                processes[plugin].refuse(code, message)
            case ReleasePlugin(plugin):
                self.launched.measure_disk()
                processes[plugin].release()
            case StopStreams():
                streams.stop()
            case _:
                raise AssertionError(f"cannot execute {action!r}")

    def _tick(self, seconds: float) -> None:
        self.launched.measure_disk()
        for process in self.launched.plugins:
            stage, is_transform = process.plugin.stage, process.plugin.kind.is_transform
            produced = self.streams.produced(stage) if is_transform else 0
            blocked = is_transform and self.streams.is_blocked(stage)
            process.tick(seconds, produced=produced, blocked=blocked)
        for reader in self.launched.readers:
            stage = reader.plugin.stage
            reader.tick(
                seconds, produced=self.streams.files_produced(stage), blocked=self.launched.rings.files[stage].is_full
            )
        self._post_full_rings()
        if self._progress is not None:
            self._progress(self.launched.rings[0].size, self.source.size)
        if self._watch is not None:
            self._watch(self.waits_for())
        self.launched.loop.post(Tick(seconds))

    def waits_for(self) -> str | None:
        """The plugin that holds up the image: a ring is full because of it, or all bytes are there and it has not
        answered. None if the image itself comes slowly."""
        for stage in self.decisions.stages:
            ring = self.launched.rings[stage.ring] if stage.ring is not None else None
            if ring is None or not (ring.is_full or ring.ended):
                continue
            undecided = [
                self._processes[plugin.name] for plugin in stage.plugins if not self._has_answered(plugin.name)
            ]
            reader = stage.reader
            is_reading = reader is not None and reader.facts is not None and reader.verdict is None
            if reader is not None and is_reading and not self.launched.rings.files[stage.number].is_full:
                undecided = [process for process in undecided if process.needs != "files"]
                undecided.append(self._processes[reader.name])
            if undecided:
                return min(undecided, key=lambda process: process.position()).spec.name
        return None

    def _has_answered(self, plugin: str) -> bool:
        process = self._processes[plugin]
        blocked = process.plugin.kind.is_transform and self.streams.is_blocked(process.plugin.stage)
        return process.verdict is not None or blocked

    def _post_full_rings(self) -> None:
        for stage in self.decisions.stages:
            if stage.is_pinned and stage.ring is not None and self.launched.rings[stage.ring].is_full:
                transform = self._processes[stage.plugins[-1].name]
                self.launched.loop.post(RingFull(stage.number, transform.caught_up()))

    def _conclude(self) -> None:
        """Wait for the readers, then add sizes and the decisive mark to the verdicts."""
        self.launched.measure_disk()
        self.streams.stop()
        error = self.streams.join()
        self.error = self.decisions.error or (error if self.decisions.decisive is None else None)
        for process in self.launched.plugins:
            if process.verdict is not None:
                self._complete(process, process.verdict)
        for reader in self.launched.readers:
            if reader.verdict is not None:
                reader.verdict.bytes_seen = self.streams.files_produced(reader.plugin.stage)
                reader.verdict.bytes_total = self.decisions.stages[reader.plugin.stage].file_size

    def _complete(self, process: PluginProcess, verdict: Verdict) -> None:
        number = self.decisions.stages[process.plugin.stage].ring
        ring = self.launched.rings[number] if number is not None else None
        announced = self.source.size if number == 0 else None
        verdict.decisive = verdict.plugin == self.decisions.decisive
        verdict.bytes_total = ring.size if ring is not None and ring.ended else announced
        if process.needs == "files":
            records = self.launched.rings.files[process.plugin.stage]
            verdict.bytes_total = records.size if records.ended else None
        if process.needs == "file" and verdict.outcome == "accepted":
            verdict.bytes_seen = verdict.bytes_total or 0  # it could read the whole file; its reads are not counted

    def is_stored(self, process: PluginProcess) -> bool:
        """True if the plugin's stage reads the stored bytes."""
        stages = self.decisions.stages
        return stages[process.plugin.stage].ring == stages[-1].ring

    def close(self) -> None:
        """End processes and threads, so that `launched` can be closed. Idempotent."""
        self.streams.stop()
        self.launched.end()
        self.streams.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
