"""A limit of the shell that is too low is named, with the required value."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from douane import sandbox
from douane.sandbox import host_limits as ulimits
from support.sandbox.process import Cell

MiB = 1 << 20


@contextmanager
def lowered(limit: int, soft: int) -> Iterator[None]:
    """Lower a soft limit of this process."""
    limits = resource.getrlimit(limit)
    resource.setrlimit(limit, (soft, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(limit, limits)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--nofile=24", r"`ulimit -n` is 24 .descriptors.*at least 64"),
        ("--as=209715200", r"`ulimit -v` is 204800 .KiB of address space.*at least 262144"),
        ("--data=104857600", r"`ulimit -d` is 102400 .*at least 262144"),
        ("--fsize=0", r"`ulimit -f` is 0 .*at least 16384"),
        ("--nproc=3", r"`ulimit -u` is 3 .processes and threads.*at least \d\d"),
    ],
)
def test_a_limit_that_is_too_low_stops_the_start(option: str, says: str) -> None:
    for tier in ("None", "sandbox.Tier.OFF"):
        code = f"from douane import sandbox; sandbox.choose({tier}, sandbox.Tier.STRICT)"
        completed = subprocess.run(["prlimit", option, sys.executable, "-c", code], capture_output=True, check=False)
        with pytest.raises(AssertionError, match=says):
            raise AssertionError(completed.stderr.decode().splitlines()[-1])


def test_the_limits_of_this_machine_suffice() -> None:
    ulimits.check()
    with lowered(resource.RLIMIT_NOFILE, 64):
        ulimits.check()


def test_too_few_descriptors_are_reported_with_the_plugin(tier: sandbox.Tier) -> None:
    highest = max(map(int, os.listdir("/proc/self/fd")))
    filled = [os.dup(0)]
    while filled[-1] < highest:  # numbers that are free below one that is used
        filled.append(os.dup(0))
    try:
        with lowered(resource.RLIMIT_NOFILE, filled[-1] + 20), pytest.raises(sandbox.SandboxError) as error:
            Cell(tier)
        needs = r"cell: `ulimit -n` is \d+ .descriptors., and Douane needs at least (\d+)"
        sentence = re.match(needs, str(error.value))
        assert sentence, error.value
        with lowered(resource.RLIMIT_NOFILE, int(sentence[1])), Cell(tier):
            pass  # what it asks for is enough
    finally:
        for fd in filled:
            os.close(fd)


def test_an_errno_of_a_start_names_its_limit() -> None:
    for number, says in ((errno.EMFILE, "ulimit -n"), (errno.EAGAIN, "ulimit -u"), (errno.ENOMEM, "ulimit -v")):
        assert says in ulimits.explain(OSError(number, ""))
    assert ulimits.explain(OSError(errno.ENOENT, "")) == ""
