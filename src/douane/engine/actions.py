"""The actions that follow from the events of a run. `run.py` executes them."""

from __future__ import annotations

import msgspec

from douane.host.messages import ImageFacts
from douane.report import PluginOutcome


class Action(msgspec.Struct, frozen=True):
    """Base of all actions."""


class BeginStage(Action, frozen=True):
    """Start the engine's own readers of `stage`, which reads the ring number `ring`."""

    stage: int
    ring: int


class ReadSource(Action, frozen=True):
    """Start to fill the first ring."""


class SendImage(Action, frozen=True):
    """Give the plugin its image: the facts, and the bytes of the ring number `ring` unless that is None."""

    plugin: str
    facts: ImageFacts
    ring: int | None


class Pin(Action, frozen=True):
    """Keep the beginning of a ring for the stages after `stage`."""

    stage: int
    ring: int


class ReleasePin(Action, frozen=True):
    """End :class:`Pin`."""

    stage: int


class PinForAuditor(Action, frozen=True):
    """Keep the beginning of a ring for an auditor that is not ready, until another reader needs the slots."""

    plugin: str
    ring: int


class ReleaseAuditorPin(Action, frozen=True):
    """End :class:`PinForAuditor`."""

    plugin: str


class ForceDecision(Action, frozen=True):
    """Tell the process of a transform that it can only make a new image now."""

    plugin: str


class TakeOutput(Action, frozen=True):
    """Fill the ring after `stage` with what its transform, `plugin`, writes."""

    stage: int
    plugin: str


class EndOutput(Action, frozen=True):
    """The transform of `stage` has accepted and its process has ended: all of its output is in the pipe."""

    stage: int


class PassOnFile(Action, frozen=True):
    """Fill the ring after `stage` with the file of `stage`."""

    stage: int


class FinishRing(Action, frozen=True):
    """Tell all readers of a ring that there is no more."""

    ring: int


class SendFiles(Action, frozen=True):
    """Give the plugin its image as records of the files in it, from the ring of the reader of `stage`."""

    plugin: str
    facts: ImageFacts
    stage: int


class PinFilesForAuditor(Action, frozen=True):
    """As :class:`PinForAuditor`, in the ring of the reader of `stage`."""

    plugin: str
    stage: int


class TakeFiles(Action, frozen=True):
    """Fill the ring for the plugins of `stage` that read files with what `reader` writes."""

    stage: int
    reader: str


class EndFiles(Action, frozen=True):
    """The reader of `stage` has accepted and its process has ended: all of its output is in the pipe."""

    stage: int


class FinishFiles(Action, frozen=True):
    """Tell the plugins of `stage` that read files that there is no more."""

    stage: int


class WithdrawAccept(Action, frozen=True):
    """Replace an accept; `message` is for the tenant."""

    plugin: str
    outcome: PluginOutcome
    code: str
    message: str


class StopPlugin(Action, frozen=True):
    """End a plugin that has not answered: the image is decided without it."""

    plugin: str


class FailPlugin(Action, frozen=True):
    """End a plugin with a failure; `message` completes "the check NAME ..."."""

    plugin: str
    outcome: PluginOutcome
    code: str
    message: str
    detail: str | None = None


class RefuseOutput(Action, frozen=True):
    """Refuse a transform's output, also after its answer."""

    plugin: str
    code: str
    message: str


class ReleasePlugin(Action, frozen=True):
    """Release the ring and the scratch files of a plugin that has ended."""

    plugin: str


class StopStreams(Action, frozen=True):
    """Read and write nothing more: the image is decided."""
