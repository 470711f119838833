"""A plugin ends when its temporary files exceed their bound, or when unmeasured ones use up the disk."""

from __future__ import annotations

from typing import cast

import pytest

from douane import sandbox
from douane.host.limits import MEASURE_SECONDS, Limits
from douane.host.sandboxed_process import SandboxedProcess
from douane.plan.model import PluginSpec
from douane.units import MiB

BOUNDS = sandbox.Bounds(temporary_bytes=4 * MiB, temporary_files=10)


class Measured:
    """A process whose private folder is measured."""

    bounds = BOUNDS

    def __init__(self, usage: sandbox.FolderUsage | None) -> None:
        self._usage = usage

    def memory(self) -> int:
        return 0

    def temporary(self) -> sandbox.FolderUsage | None:
        return self._usage


def sentence(usage: sandbox.FolderUsage | None, scratch_bytes: int = 0) -> str | None:
    limits = Limits(PluginSpec(name="p", use="u"))
    failure = limits.check_use(cast(SandboxedProcess, Measured(usage)), scratch_bytes, MEASURE_SECONDS)
    assert failure is None or failure.code == "plugin-scratch"
    return failure.message if failure is not None else None


@pytest.mark.parametrize(
    ("usage", "scratch_bytes", "message"),
    [
        (None, 0, None),
        (sandbox.FolderUsage(4 * MiB, 10), 0, None),
        (sandbox.FolderUsage(4 * MiB + 1, 1), 0, "more than its bound"),
        (sandbox.FolderUsage(3 * MiB, 1), 2 * MiB, "more than its bound"),
        (None, 5 * MiB, "more than its bound"),
        (sandbox.FolderUsage(0, 11), 0, "more than 10 temporary files"),
        (sandbox.FolderUsage(0, 0, True), 0, "without a name"),
    ],
)
def test_files_beyond_the_bound_end_the_plugin(
    usage: sandbox.FolderUsage | None, scratch_bytes: int, message: str | None
) -> None:
    answer = sentence(usage, scratch_bytes)
    assert answer is None if message is None else answer is not None and message in answer
