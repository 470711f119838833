"""The state of a run, as its decisions need it: stages and their plugins. No I/O and no processes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from douane.host.base import PluginProcess
from douane.host.messages import ImageFacts, Needs
from douane.plan.model import PluginSpec
from douane.report import Verdict


class Output(Enum):
    """The state of a transform's output."""

    NONE = "none"
    FLOWING = "flowing"
    ENDED = "ended"


class PluginState(msgspec.Struct):
    """One plugin of a run."""

    spec: PluginSpec
    stage: int = 0
    is_transform: bool = False
    is_format: bool = False
    needs: Needs = "bytes"
    reads_findings: bool = False
    """It gets its image when all earlier plugins have answered."""

    ready: bool = False
    has_pin: bool = False
    """It is an auditor for which the beginning of its ring is kept."""

    verdict: Verdict | None = None
    held: Verdict | None = None
    """The accept of a plugin that reads files, until their reader has ended."""

    looked_until: int | None = None
    """As in :class:`PluginAnswered`, of the accept that is held."""

    @classmethod
    def of(cls, process: PluginProcess) -> PluginState:
        """The state of a plugin whose image has not come."""
        plugin = process.plugin
        return cls(process.spec, plugin.stage, plugin.kind.is_transform, plugin.code.is_format, process.needs)

    @property
    def name(self) -> str:
        """The plugin's name in the plan."""
        return self.spec.name

    @property
    def is_auditor(self) -> bool:
        """True if the plugin only records."""
        return self.spec.mode == "audit"


class FilesReader(msgspec.Struct):
    """The process that reads the files in the image of a stage for its plugins; see `file_reading.py`."""

    name: str
    facts: ImageFacts | None = None
    """Those that it began with; None before it has."""

    output: Output = Output.NONE
    size: int = 0
    """Bytes of records, when its output has ended."""

    verdict: Verdict | None = None
    is_complete: bool = False
    """All of its output is in the ring, and it says that this is all."""


class Stage(msgspec.Struct):
    """Inspectors that stand together, and the transform, if any, that ends them. All read the same ring."""

    number: int
    plugins: list[PluginState] = []
    ring: int | None = None
    """The number of the ring that it reads; None before it has begun.

    It is that of an earlier stage if the transforms between them leave the image as it is.
    """

    is_pinned: bool = False
    """The beginning of the ring is kept until the transform has decided."""

    output: Output = Output.NONE
    file_size: int | None = None
    """Bytes in its file, when all of it is written."""

    waiting: list[PluginState] = []
    """Plugins that get the image when the file is written."""

    reader: FilesReader | None = None

    def file_plugins(self) -> list[PluginState]:
        """The plugins that read files."""
        return [plugin for plugin in self.plugins if plugin.needs == "files"]

    @property
    def transform(self) -> PluginState | None:
        """The transform that ends the stage."""
        return self.plugins[-1] if self.plugins and self.plugins[-1].is_transform else None


def split(plugins: Iterable[PluginState]) -> list[Stage]:
    """The stages of `plugins`, which are in the order of the plan."""
    stages = [Stage(0)]
    for plugin in plugins:
        plugin.stage = stages[-1].number
        stages[-1].plugins.append(plugin)
        if plugin.is_transform:
            stages.append(Stage(len(stages)))
    return stages
