"""Programs that plugins start get small stacks."""

from __future__ import annotations

import resource
import subprocess

from douane.plugins._stacks import STACK_BYTES, small_stacks


def test_threads_of_a_program_get_small_stacks() -> None:
    before = resource.getrlimit(resource.RLIMIT_STACK)
    with small_stacks():
        ended = subprocess.run(["sh", "-c", "ulimit -S -s"], capture_output=True, text=True, check=True)
    assert int(ended.stdout) * 1024 == STACK_BYTES
    assert resource.getrlimit(resource.RLIMIT_STACK) == before
