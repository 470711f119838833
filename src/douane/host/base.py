"""The law of this package: what every kind of plugin process can do.

A plugin process is one plugin of the plan in its sandbox. `python_plugin.py` runs Python classes and programs that
speak the wire, `exec_plugin.py` runs any program on its standard input. Both build on `plugin_process.py`. A new kind
follows :class:`PluginProcess` and is registered in `launch.py`, in `make_process`.

A plugin process lives in the thread of the loop. It never decides about the image: it posts the events of `events.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from douane.errors import PlanError
from douane.plan.model import Plan, PluginSpec
from douane.plan.resolve import ResolvedPlugin
from douane.report import PluginOutcome, Provenance, Verdict
from douane.stream.ring import Ring

from .messages import Described, ImageFacts, Needs
from .parked_process import ParkedProcess
from .pool import ProcessPool


class Supplies(msgspec.Struct, frozen=True):
    """The parts of a run that a plugin process is started with."""

    rings: Sequence[Ring]
    """The rings of its stage and of the stages before it; IMAGE says which one it reads. For a plugin that reads files
    the ring with their records alone."""

    open_file: Callable[[], int]
    """Open, for reading, the file that will hold the image as its stage reads it. The caller closes the descriptor."""

    log_level: int
    pool: ProcessPool[ParkedProcess] | None = None
    """Where the processes of its plan wait between images; None if each process serves one."""

    plan: Plan | None = None
    """The plan of the run, for `pool`."""


class PluginProcess(Protocol):
    """One plugin in its sandbox, from its start to its end."""

    plugin: ResolvedPlugin
    spec: PluginSpec

    ready: bool
    """True when the plugin is loaded and configured and waits for its image."""

    has_settings: bool
    """True when a plugin that reads files has taken its settings: the image may come, and its constructor goes on."""

    described: Described | None
    """The plugin's description of itself; None before it has come, and for programs on standard input."""

    is_transform: bool
    needs: Needs

    @property
    def reads(self) -> str:
        """The `reads` of the plugin's class; ``stream`` before it is known."""

    @property
    def reads_findings(self) -> bool:
        """True if the plugin gets its image when all earlier plugins have answered."""

    misjudged: bool
    """True if the plugin is of another kind than its source shows, so that its process lacks descriptors."""

    error: PlanError | None
    """The configuration error that keeps the plugin from being used, if any."""

    verdict: Verdict | None
    """None until the plugin has answered, or failed."""

    output: int | None
    """The read end of a transform's output."""

    earlier_images: int
    """The images that its process had served before this one."""

    def start(self, supplies: Supplies) -> None:
        """Start the process. Raises PlanError, SandboxError, SinkError."""

    def send_image(self, facts: ImageFacts, ring: Ring | None) -> None:
        """Give the plugin its image: `facts`, and the bytes of `ring` unless it needs none. Its clocks start."""

    def tick(self, seconds: float, *, produced: int, blocked: bool) -> None:
        """Charge `seconds` to the clocks and measure the process.

        `produced` bytes of output have been read; `blocked` says that a transform waits for those after it.
        """

    def position(self) -> int:
        """The bytes of the image that the plugin has read."""

    def caught_up(self) -> bool:
        """True if the plugin has read all bytes that were sent to it."""

    def force_decision(self) -> None:
        """Tell a transform that `unchanged` is no longer possible: the beginning of the image has left the ring."""

    def stop(self) -> None:
        """End the process without an answer: the image was decided without it."""

    def fail(self, outcome: PluginOutcome, code: str, message: str, detail: str | None = None) -> None:
        """End the process with a failure; `message` completes "the check NAME ..."."""

    def refuse(self, code: str, message: str) -> None:
        """Refuse the output, also after an accept: a transform may answer before its output exceeds a limit."""

    def withdraw(self, outcome: PluginOutcome, code: str, message: str) -> None:
        """Replace an accept that has come too early: that of a plugin that did not look at what could not be read."""

    def provenance(self) -> Provenance:
        """The provenance of the plugin: its code, configuration and sandbox."""

    def private_grants(self) -> tuple[str, ...]:
        """The paths of granted files and folders that not every user can read."""

    def has_current_grants(self) -> bool:
        """False if a granted file or folder has been replaced since the start."""

    def scratch_used(self) -> int:
        """Bytes that the scratch files take on the disk now."""

    def release(self) -> None:
        """Give up the place in the ring and the scratch files, after :meth:`end`. Idempotent."""

    def end(self) -> None:
        """Kill the process and close its pipes; the output can still be read. Idempotent."""

    def close(self) -> None:
        """End the process and give everything back. Idempotent."""
