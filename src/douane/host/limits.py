"""The limits of one plugin process: memory, scratch files and clocks, each with the failure that exceeding it is."""

from __future__ import annotations

from douane.plan.model import PluginSpec
from douane.sandbox import Bounds, FolderUsage
from douane.sandbox.spec import TEMPORARY_BYTES, TEMPORARY_FILES
from douane.units import KiB, MiB, show_duration, show_size

from .clocks import Clock
from .failure import Failure
from .sandboxed_process import SandboxedProcess

MEASURE_SECONDS = 0.1
"""The interval at which memory is measured: the second line behind the kernel's own limits."""

ALLOWANCE_BYTES = 64 * MiB
"""For page tables, and for pages of libraries that are written while they load. RLIMIT_DATA has no allowance."""

BYTES_FOR_EACH_FILE = 16 * KiB
MOST_FILES = 16384
"""With `scratch`, the private /tmp may have one file for each of so many bytes, up to so many as the engine
can measure: 16,000 take 80 ms."""


def bounds_of(spec: PluginSpec, *, memory: int, open_files: int) -> Bounds:
    """The bounds of a sandbox by the keys of the plan. `memory` is in bytes."""
    scratch = spec.scratch or 0
    return Bounds(
        memory=memory,
        threads=spec.threads,
        processes=spec.processes,
        open_files=open_files,
        file_bytes=scratch,
        temporary_bytes=TEMPORARY_BYTES if spec.scratch is None else scratch,
        temporary_files=min(max(scratch // BYTES_FOR_EACH_FILE, TEMPORARY_FILES), MOST_FILES),
    )


class Limits:
    """Checks one process against its part of the plan. Before the image, the clock is that of the start."""

    def __init__(self, spec: PluginSpec) -> None:
        self._spec = spec
        self._clock = Clock(None, spec.start)
        self._unmeasured = 0.0

    def start_image(self, *, stall: bool) -> None:
        """The plugin has its image: from here on the total counts, and with `stall` the lack of progress."""
        self._clock = Clock(self._spec.stall if stall else None, self._spec.timeout)

    def check_use(self, process: SandboxedProcess, scratch_bytes: int, seconds: float) -> Failure | None:
        """Measure the process and its files, if `seconds` more since the last time make that due."""
        self._unmeasured += seconds
        if self._unmeasured < MEASURE_SECONDS:
            return None
        self._unmeasured = 0.0
        return self._check_memory(process) or self._check_files(process, scratch_bytes)

    def _check_memory(self, process: SandboxedProcess) -> Failure | None:
        used = process.memory()
        if used <= self._spec.memory + ALLOWANCE_BYTES:
            return None
        return Failure(
            "failed",
            "plugin-memory",
            f"used more memory than its bound of {show_size(self._spec.memory)}",
            f"{show_size(used)} were in use; raise 'memory' if the plugin needs that",
        )

    def _check_files(self, process: SandboxedProcess, scratch_bytes: int) -> Failure | None:
        """Compare all files together with their bound; the kernel bounds each in its length (RLIMIT_FSIZE)."""
        folder = process.temporary() or FolderUsage(0, 0)
        bounds = process.bounds
        if folder.files > bounds.temporary_files:
            reason = f"made more than {bounds.temporary_files} temporary files"
        elif folder.bytes + scratch_bytes > max(bounds.temporary_bytes, bounds.file_bytes):
            reason = f"wrote more than its bound of {show_size(bounds.temporary_bytes)} into temporary files"
        elif folder.is_disk_short:
            reason = "wrote temporary files without a name until the disk was nearly full"
        else:
            return None
        return Failure("failed", "plugin-scratch", reason, "raise 'scratch' if the plugin needs that")

    def check_start(self, seconds: float, *, progress: object) -> Failure | None:
        """Charge `seconds` of loading and configuring."""
        if self._clock.tick(seconds, busy=True, progress=progress) is None:
            return None
        return Failure(
            "timeout",
            "plugin-slow-start",
            f"was not ready within {show_duration(self._spec.start)}",
            "raise 'start' if the plugin needs longer to load",
        )

    def check_image(self, seconds: float, *, busy: bool, progress: object, position: int) -> Failure | None:
        """Charge `seconds` with the image; `position` is how many bytes of it the plugin is done with."""
        clock = self._clock.tick(seconds, busy=busy, progress=progress)
        if clock == "stall":
            return Failure(
                "timeout",
                "plugin-stalled",
                f"made no progress for {show_duration(self._spec.stall)}",
                f"it had read {position} bytes; raise 'stall' if it needs longer for one piece of work",
            )
        if clock == "timeout":
            return Failure(
                "timeout",
                "plugin-timeout",
                f"needed more than {show_duration(self._spec.timeout)} for the image",
                "raise 'timeout' if it needs longer",
            )
        return None
