"""The readers of files of a run, and the plugins that read what they deliver. No I/O.

A stage with plugins that have ``reads = "files"`` has a reader: a process that walks the image once, when its file is
written, and whose output all of them read in a ring. It is neither a plugin nor a transform: it has no verdict on the
image. If it fails, the plugins that still need it fail.

An accept of such a plugin is held until the reader has ended. Only then is it known whether anything is unread, and
whether a plugin that says that it has looked at that had been sent all of it: a program that speaks the wire may say so
too early.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from douane.errors import DouaneError, LimitExceeded
from douane.host.events import PluginAnswered, TransformDecided
from douane.host.messages import ImageFacts
from douane.report import Verdict

from .actions import (
    Action,
    EndFiles,
    FailPlugin,
    FinishFiles,
    PinFilesForAuditor,
    RefuseOutput,
    SendFiles,
    SendImage,
    StopPlugin,
    TakeFiles,
    WithdrawAccept,
)
from .stage import FilesReader, Output, PluginState, Stage

FAILED = "guest-reader-failed"
"""The code of plugins whose reader of files has failed."""

MAX_WORDS = 300
"""Characters of the reader's words in a message."""


class UnreadPart(msgspec.Struct, frozen=True):
    """A part of the image that the reader could not read."""

    place: str
    code: str
    why: str


class UnreadParts(msgspec.Struct, frozen=True):
    """The document ``unread`` of a reader: how many parts there are, and the first of them."""

    parts: int
    listed: list[UnreadPart]


def unread_of(verdict: Verdict) -> UnreadParts | None:
    """What a reader could not read; None if it does not say so as it must."""
    try:
        unread = msgspec.convert(verdict.documents.get("unread"), UnreadParts)
    except msgspec.ValidationError:
        return None
    return unread if unread.parts >= 0 and bool(unread.parts) == bool(unread.listed) else None


class FileReading:
    """What follows for readers of files and their plugins. The state is that of the stages."""

    def __init__(self, stages: Sequence[Stage], readers: Mapping[int, str]) -> None:
        """`readers` are the names of the readers, by stage."""
        self._stages = stages
        for number, name in readers.items():
            stages[number].reader = FilesReader(name)

    def stage_of(self, name: str) -> Stage | None:
        """The stage whose reader has this name."""
        return next((stage for stage in self._stages if stage.reader is not None and stage.reader.name == name), None)

    def begin(self, stage: Stage, plugins: Iterable[PluginState], facts: ImageFacts) -> list[Action]:
        """The file of a stage is complete: its reader begins, for those of `plugins` that have not answered, when they
        are ready. It does not wait for auditors."""
        reader = stage.reader
        waiting = [plugin for plugin in plugins if plugin.verdict is None]
        if reader is None or reader.verdict is not None or not waiting:
            return []
        if not all(plugin.ready or plugin.is_auditor for plugin in waiting):
            return []
        reader.facts = facts
        actions: list[Action] = []
        for plugin in waiting:  # before the reader: what a ring has passed on does not come again
            if plugin.ready:
                actions.append(SendFiles(plugin.name, facts, stage.number))
            else:
                plugin.has_pin = True
                actions.append(PinFilesForAuditor(plugin.name, stage.number))
        return [*actions, SendImage(reader.name, facts, None)]

    def send_late(self, plugin: PluginState, stage: Stage) -> list[Action]:
        """An auditor is ready, for which the beginning of the records was kept."""
        assert stage.reader is not None and stage.reader.facts is not None
        return [SendFiles(plugin.name, stage.reader.facts, stage.number)]

    # the reader

    def on_decided(self, stage: Stage, event: TransformDecided) -> list[Action]:
        """The reader puts out records."""
        reader = _reader(stage)
        if event.unchanged:
            return [FailPlugin(reader.name, "failed", "plugin-protocol", "put out no records")]
        reader.output = Output.FLOWING
        return [TakeFiles(stage.number, reader.name)]

    def on_output_end(self, stage: Stage, error: DouaneError | None, size: int) -> list[Action]:
        """Its output has ended after `size` bytes, or has exceeded a limit."""
        reader = _reader(stage)
        reader.size = size
        if isinstance(error, LimitExceeded):
            return [RefuseOutput(reader.name, error.code, str(error))]
        reader.output = Output.ENDED
        return self._finish(stage)

    def on_answer(self, stage: Stage, event: PluginAnswered) -> list[Action]:
        """The reader has answered, or failed, or was stopped."""
        reader, verdict = _reader(stage), event.verdict
        reader.verdict = verdict
        if verdict.outcome == "accepted" and unread_of(verdict) is not None:
            return self._finish(stage)
        if verdict.outcome == "stopped":
            return []
        said = verdict.message or "it does not say what it could not read"
        words = f"{said}: {verdict.detail}" if verdict.detail else said
        return self._fail(stage, f"{words} (its bounds are in [guest])" if verdict.outcome == "timeout" else words)

    def _finish(self, stage: Stage) -> list[Action]:
        """The records are whole once the output has ended *and* the reader has accepted, as for a transform."""
        reader = _reader(stage)
        if reader.verdict is None or reader.verdict.outcome != "accepted":
            return []
        if reader.output is not Output.ENDED:
            return [EndFiles(stage.number)]
        reader.is_complete = True
        return [FinishFiles(stage.number)]

    def _fail(self, stage: Stage, words: str) -> list[Action]:
        """Nobody accepts on what a reader delivered that has failed."""
        message = "could not read the files in the image, since the reader of files has failed"
        actions: list[Action] = []
        for plugin in stage.file_plugins():
            if plugin.held is not None:
                text = f"the check {plugin.name!r} {message}: {words:.{MAX_WORDS}}"
                actions.append(WithdrawAccept(plugin.name, "failed", FAILED, text))
            elif plugin.verdict is None:
                actions.append(FailPlugin(plugin.name, "failed", FAILED, message, words))
        return actions

    # the plugins

    def must_wait(self, plugin: PluginState, stage: Stage, verdict: Verdict) -> bool:
        """True if the answer takes effect when the reader has ended."""
        reader = stage.reader
        is_early = reader is not None and not reader.is_complete
        return verdict.outcome == "accepted" and plugin.needs == "files" and is_early

    def unread_in(self, plugin: PluginState, stage: Stage, event: PluginAnswered) -> list[Action]:
        """The accept of a plugin that did not look at what could not be read, after the end of its reader, is none if
        there is anything. Nothing unread is clean."""
        reader = stage.reader
        if plugin.needs != "files" or event.verdict.outcome != "accepted" or reader is None:
            return []
        return self._withdrawn(plugin, reader, event.looked_until)

    def _withdrawn(self, plugin: PluginState, reader: FilesReader, looked_until: int | None) -> list[Action]:
        unread = unread_of(reader.verdict) if reader.verdict is not None else None
        if unread is None:  # cannot happen: a reader whose document is wrong has failed
            return [WithdrawAccept(plugin.name, "failed", FAILED, "the reader of files does not say what is unread")]
        if not unread.parts or looked_until == reader.size:
            return []
        first = unread.listed[0]
        count = "a part" if unread.parts == 1 else f"{unread.parts} parts"
        message = (
            f"{count} of the image could not be read, and the check {plugin.name!r} "
            f"{'did not ask for them' if looked_until is None else 'accepted before all were known'}; "
            f"{'it is' if unread.parts == 1 else 'the first is'} {first.place}: {first.why}"
        )
        return [WithdrawAccept(plugin.name, "incomplete", first.code, message)]

    def release_held(self, stage: Stage) -> tuple[list[PluginState], list[Action]]:
        """The reader has ended: the plugins whose accepts take effect, and what withdraws the others'."""
        accepted: list[PluginState] = []
        actions: list[Action] = []
        for plugin in stage.file_plugins():
            if plugin.held is None:
                continue
            withdrawn = self._withdrawn(plugin, _reader(stage), plugin.looked_until)
            if not withdrawn:
                accepted.append(plugin)
            actions += withdrawn
        return accepted, actions

    def stop_unneeded(self, stage: Stage) -> list[Action]:
        """Stop the reader of a stage when all its plugins have answered."""
        reader = stage.reader
        if reader is None or reader.verdict is not None or any(p.verdict is None for p in stage.file_plugins()):
            return []
        return [StopPlugin(reader.name)]

    def stop_all(self) -> list[Action]:
        """The image is decided."""
        readers = [stage.reader for stage in self._stages if stage.reader is not None]
        return [StopPlugin(reader.name) for reader in readers if reader.verdict is None]


def _reader(stage: Stage) -> FilesReader:
    assert stage.reader is not None
    return stage.reader
