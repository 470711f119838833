"""Which ring each stage reads, how long its beginning is kept, and when a transform's output is whole. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from douane.host.events import TransformDecided

from .actions import (
    Action,
    BeginStage,
    EndOutput,
    FinishRing,
    ForceDecision,
    PassOnFile,
    Pin,
    ReleasePin,
    TakeOutput,
)
from .delivery import Delivery
from .stage import Output, PluginState, Stage

Until = Literal["stored", "answered"]
"""When a run ends: when all plugins have answered and the image is stored, or with the answer of its only plugin."""


class StageFlow:
    """The way of the image from stage to stage. `until` is that of the run."""

    def __init__(self, stages: Sequence[Stage], delivery: Delivery, until: Until) -> None:
        self.unchanged = False
        """With `until` "answered": the transform left the image as it is."""

        self._stages = stages
        self._delivery = delivery
        self._until = until

    def begin(self, stage: Stage, ring: int) -> list[Action]:
        """Let the plugins of `stage`, and the transform that ends it, read the ring number `ring`."""
        stage.ring = ring
        actions: list[Action] = [BeginStage(stage.number, ring)]
        transform = stage.transform
        if transform is not None and transform.needs != "file":  # one that reads a file passes that file on
            stage.is_pinned = True
            actions.append(Pin(stage.number, ring))
        for plugin in stage.plugins:
            if plugin.verdict is None:
                actions += self._delivery.send(plugin, stage)
        return [*actions, *self._delivery.send_file(stage), *self._delivery.send_findings()]

    def on_decided(self, plugin: PluginState, event: TransformDecided) -> list[Action]:
        """Start the next stage, on the same bytes or on the output of the transform `plugin`."""
        stage = self._stages[plugin.stage]
        actions: list[Action] = []
        if event.unchanged and self._until == "answered":
            self.unchanged = True
        elif event.unchanged and plugin.needs == "file":
            actions = [*self._begin_next(stage, stage.number + 1), PassOnFile(stage.number)]
        elif event.unchanged:
            assert stage.ring is not None
            actions = self._begin_next(stage, stage.ring)
        else:
            stage.output = Output.FLOWING
            self._delivery.take_formats(event.becomes)
            actions = [*self._begin_next(stage, stage.number + 1), TakeOutput(stage.number, plugin.name)]
        return [*actions, *_release_pin(stage)]

    def on_full_ring(self, stage: Stage, *, idle: bool) -> list[Action]:
        """Decide for a transform that needs more bytes than the ring keeps: later stages read its output."""
        transform = stage.transform
        if not stage.is_pinned or transform is None:
            return []
        if self._until == "answered":  # no later stage needs the beginning of the ring
            return _release_pin(stage)
        return [ForceDecision(transform.name), *_release_pin(stage)] if idle else []

    def finish_output(self, stage: Stage) -> list[Action]:
        """Finish the next ring once the transform's output has ended *and* the transform has accepted.

        The answer ends the output, and not the last descriptor of the pipe: somebody else could hold that open.
        """
        verdict = stage.transform.verdict if stage.transform is not None else None
        if verdict is None or verdict.outcome != "accepted":
            return []
        if stage.output is Output.ENDED:
            return [FinishRing(stage.number + 1)]
        return [EndOutput(stage.number)] if stage.output is Output.FLOWING else []

    def _begin_next(self, stage: Stage, ring: int) -> list[Action]:
        return self.begin(self._stages[stage.number + 1], ring)


def _release_pin(stage: Stage) -> list[Action]:
    pinned, stage.is_pinned = stage.is_pinned, False
    return [ReleasePin(stage.number)] if pinned else []
