"""The decisions of a run: events in, actions out. No I/O, no threads, no clock; see tests/unit/engine.

The states are PREPARING (before the image), RUNNING, and DECIDED, which is final.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from douane.declared import DeclaredImage
from douane.errors import DeadlineExceeded, DouaneError, LimitExceeded
from douane.host.events import AuditorOverrun, Event, PluginAnswered, PluginReady, TransformDecided
from douane.host.policy import AUDIT_SECONDS, weigh
from douane.report import Verdict
from douane.units import show_duration

from .actions import (
    Action,
    FailPlugin,
    FinishRing,
    ReadSource,
    RefuseOutput,
    ReleaseAuditorPin,
    ReleasePlugin,
    StopStreams,
)
from .delivery import Delivery
from .events import (
    AllRead,
    FilePassedOn,
    FilesEnded,
    FileWritten,
    OutputEnded,
    ReaderEnded,
    RingFull,
    RunStarted,
    SourceEnded,
    SpoolFailed,
    Tick,
)
from .file_reading import FileReading
from .stage import Output, PluginState, Stage, split
from .stage_flow import StageFlow, Until
from .unanswered import drop_slow_auditors, stop_unanswered

NO_READERS: Mapping[int, str] = {}


class RunState(Enum):
    """See the module."""

    PREPARING = "preparing"
    RUNNING = "running"
    DECIDED = "decided"


class Decisions:
    """The state of one run. :meth:`handle` is its only way to change."""

    def __init__(
        self,
        plugins: Sequence[PluginState],
        image: DeclaredImage,
        *,
        deadline: float,
        until: Until = "stored",
        findings: Mapping[str, Any] | None = None,
        readers: Mapping[int, str] = NO_READERS,
    ) -> None:
        """`findings` replaces the findings of earlier plugins, for a run of one plugin. `readers` are the names of the
        readers of files, by stage."""
        self.state = RunState.PREPARING
        self.stages: list[Stage] = split(plugins)
        self.decisive: str | None = None
        """The plugin whose verdict decided the image, if it was not accepted."""

        self.error: DouaneError | None = None
        """The failure of the engine, source or sink that decided the image."""

        self._plugins = list(plugins)
        self._files = FileReading(self.stages, readers)
        self._delivery = Delivery(self._plugins, self.stages, self._files, image, findings)
        self._flow = StageFlow(self.stages, self._delivery, until)
        self._by_name = {plugin.name: plugin for plugin in plugins}
        self._deadline = deadline
        self._until = until
        self._all_read = False
        self._elapsed = 0.0
        self._audit_seconds = AUDIT_SECONDS

    @property
    def image(self) -> DeclaredImage:
        """The declared image; its formats change with every transform."""
        return self._delivery.image

    @property
    def unchanged(self) -> bool:
        """With `until` "answered": the transform left the image as it is."""
        return self._flow.unchanged

    def handle(self, event: Event) -> list[Action]:
        """The actions that follow from `event`, in order."""
        if isinstance(event, PluginAnswered):
            actions = self._on_answer(event)
        elif self.state is RunState.DECIDED:
            return []
        else:
            actions = self._react(event)
        if self.state is RunState.RUNNING and self._is_finished():
            self.state = RunState.DECIDED
        return actions

    def _react(self, event: Event) -> list[Action]:
        match event:
            case RunStarted(size):
                self.state, self._delivery.size = RunState.RUNNING, size
                return [*self._flow.begin(self.stages[0], 0), ReadSource()]
            case PluginReady():
                return self._on_ready(event)
            case TransformDecided(name):
                reading = self._files.stage_of(name)
                if reading is not None:
                    return self._files.on_decided(reading, event)
                return self._flow.on_decided(self._by_name[name], event)
            case AuditorOverrun(name):
                message = "was too slow to watch, and an auditor never holds up an import"
                return [FailPlugin(name, "incomplete", "auditor-too-slow", message)]
            case SourceEnded(error):
                return self._fail(error) if error is not None else [FinishRing(0)]
            case OutputEnded(stage, error):
                return self._on_output_end(self.stages[stage], error)
            case FilesEnded(stage, error, size):
                return self._on_files_end(self.stages[stage], error, size)
            case FilePassedOn(stage, error):
                return self._fail(error) if error is not None else [FinishRing(stage + 1)]
            case FileWritten(stage, size):
                self.stages[stage].file_size = size
                return self._delivery.send_file(self.stages[stage])
            case SpoolFailed(stage, error):
                return self._on_spool_failure(self.stages[stage], error)
            case ReaderEnded(error):
                return self._fail(error) if error is not None else []
            case RingFull(stage, idle):
                return self._flow.on_full_ring(self.stages[stage], idle=idle)
            case AllRead():
                self._all_read = True
                return []
            case Tick(seconds):
                return self._on_tick(seconds)
            case _:
                raise AssertionError(f"no decision for {event!r}")

    # plugins

    def _on_ready(self, event: PluginReady) -> list[Action]:
        """Send the image to a plugin that became ready. During a run, only an auditor can be this late."""
        if self._files.stage_of(event.plugin) is not None:
            return []  # a run begins with readers that are ready
        plugin = self._by_name[event.plugin]
        plugin.ready, plugin.needs, plugin.reads_findings = True, event.needs, event.reads_findings
        if event.misjudged:
            message = "is of another kind than its source says"
            return [FailPlugin(plugin.name, "failed", "plugin-unusable", message)]
        stage = self.stages[plugin.stage]
        actions: list[Action] = []
        if plugin.has_pin:
            plugin.has_pin = False
            is_late = plugin.needs == "files" and stage.reader is not None and stage.reader.facts is not None
            send = self._files.send_late if is_late else self._delivery.send
            actions += [*send(plugin, stage), ReleaseAuditorPin(plugin.name)]
        return [*actions, *self._delivery.send_file(stage), *self._delivery.send_findings()]

    def _on_answer(self, event: PluginAnswered) -> list[Action]:
        """Handle an answer or a failure. The plugin releases the ring only after its answer has taken effect."""
        reading = self._files.stage_of(event.plugin)
        if reading is not None:
            return self._on_reader_answer(reading, event)
        plugin, verdict = self._by_name[event.plugin], event.verdict
        if self.state is RunState.DECIDED and plugin.verdict is not None:
            return []  # the outcome stands on the verdicts that it was made of
        if self.state is RunState.DECIDED:
            plugin.verdict, plugin.held = verdict, None
            return [ReleasePlugin(plugin.name)]
        stage = self.stages[plugin.stage]
        if self._files.must_wait(plugin, stage, verdict):
            plugin.held, plugin.looked_until = verdict, event.looked_until
            return [ReleasePlugin(plugin.name)]
        if withdrawn := self._files.unread_in(plugin, stage, event):
            plugin.held = verdict
            return [*withdrawn, ReleasePlugin(plugin.name)]
        return [*self._settle(plugin, verdict, event.becomes), ReleasePlugin(plugin.name)]

    def _settle(self, plugin: PluginState, verdict: Verdict, becomes: Mapping[str, str]) -> list[Action]:
        """An answer takes effect."""
        plugin.verdict, plugin.held = verdict, None
        stage = self.stages[plugin.stage]
        if weigh(plugin.spec, verdict, is_transform=plugin.is_transform) != "accepted":
            self.decisive = plugin.name
            return self._end()
        actions: list[Action] = []
        if plugin.is_transform and verdict.outcome == "accepted":
            self._delivery.take_formats(becomes)
            actions = self._flow.finish_output(stage)
        elif plugin.is_format or plugin.needs == "files":  # the reader of files may have waited for it
            actions = self._delivery.send_file(stage)
        return [*actions, *self._delivery.send_findings(), *self._files.stop_unneeded(stage)]

    # readers of files

    def _on_reader_answer(self, stage: Stage, event: PluginAnswered) -> list[Action]:
        if self.state is RunState.DECIDED:
            return [ReleasePlugin(event.plugin)]
        return [*self._files.on_answer(stage, event), *self._release_held(stage), ReleasePlugin(event.plugin)]

    def _on_files_end(self, stage: Stage, error: DouaneError | None, size: int) -> list[Action]:
        if error is not None and not isinstance(error, LimitExceeded):
            return self._fail(error)
        return [*self._files.on_output_end(stage, error, size), *self._release_held(stage)]

    def _release_held(self, stage: Stage) -> list[Action]:
        """The accepts that waited for the reader, if it is complete, take effect or are none."""
        if stage.reader is None or not stage.reader.is_complete:
            return []
        accepted, actions = self._files.release_held(stage)
        for plugin in accepted:
            if self.state is not RunState.DECIDED and plugin.held is not None:
                actions += self._settle(plugin, plugin.held, {})
        return actions

    # ends

    def _on_output_end(self, stage: Stage, error: DouaneError | None) -> list[Action]:
        transform = stage.transform
        assert transform is not None
        if isinstance(error, LimitExceeded):
            return [RefuseOutput(transform.name, error.code, str(error))]
        if error is not None:
            return self._fail(error)
        stage.output = Output.ENDED
        return self._flow.finish_output(stage)

    def _on_spool_failure(self, stage: Stage, error: DouaneError) -> list[Action]:
        readers = [plugin for plugin in stage.waiting if plugin.verdict is None]
        stage.waiting = []
        if not all(plugin.is_auditor for plugin in readers):
            return self._fail(error)
        message = "could not be given the image"  # a failure of an auditor never decides, even for lack of space
        return [FailPlugin(plugin.name, "failed", error.code, message, str(error)) for plugin in readers]

    def _fail(self, error: DouaneError) -> list[Action]:
        self.error = error
        return self._end()

    def _end(self) -> list[Action]:
        """Set the final state: no later event changes the outcome."""
        self.state = RunState.DECIDED
        return [StopStreams(), *stop_unanswered(self._plugins), *self._files.stop_all()]

    # time

    def _on_tick(self, seconds: float) -> list[Action]:
        self._elapsed += seconds
        if self._elapsed > self._deadline:
            return self._fail(
                DeadlineExceeded(
                    f"the import was not done within its deadline of {show_duration(self._deadline)}; "
                    "raise [import] deadline, or find out what held it up in the report"
                )
            )
        if self._only_auditors_left():
            self._audit_seconds -= seconds
        return drop_slow_auditors(self._plugins) if self._audit_seconds < 0 else []

    def _only_auditors_left(self) -> bool:
        return self._all_read and all(plugin.verdict is not None for plugin in self._plugins if not plugin.is_auditor)

    def _is_finished(self) -> bool:
        if self._until == "stored":
            return self._all_read and all(plugin.verdict is not None for plugin in self._plugins)
        verdict = self._plugins[0].verdict
        if verdict is None:
            return False
        return verdict.outcome != "accepted" or self.stages[0].output is Output.NONE or self._all_read
