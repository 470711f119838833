"""A real delegated cgroup, and engines that run in it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from douane.sandbox import cgroup_delegation as delegation

TESTS = Path(__file__).parents[2]
WITHIN_S = 60

_PRELUDE = f"""
import json, os, sys, threading
from pathlib import Path
sys.path.append({str(TESTS)!r})
from support.sandbox.process import Cell
from douane import sandbox
from douane.sandbox import cgroup_delegation as delegation
here = Path(sys.argv[1])
# A test's cgroup has the controllers that are left for it: none at all where they are at work in version 1.
def divide():
    return delegation.claim(delegation.current_cgroup(), tuple(sys.argv[2:]))
def tell(**what):
    print(json.dumps(what), flush=True)
def hear():
    return sys.stdin.readline()
def adopt():
    delegation._bases[os.getpid()] = found = divide()
    assert isinstance(found, delegation.Base), found
"""


@contextlib.contextmanager
def delegated_cgroup() -> Iterator[Path]:
    """A cgroup below our own, with systemd's mark of delegation. Only root can make one."""
    folder = Path(delegation.current_cgroup()) / f"douane-test-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    os.setxattr(folder, "user.delegate", b"1")
    try:
        yield folder
    finally:
        for path in (folder / "cgroup.kill", *folder.glob("*/cgroup.kill")):
            path.write_text("1")
        for path in (*(path for path in folder.iterdir() if path.is_dir()), folder):
            end = time.monotonic() + WITHIN_S
            while path.exists():
                with contextlib.suppress(OSError):
                    path.rmdir()
                assert time.monotonic() < end, f"{path} does not empty"


class Engine:
    """A process in the cgroup `folder` that runs `body`; `hear` returns its messages. Use as a context manager."""

    def __init__(self, folder: Path, body: str, *, inside: bool = False, command: Sequence[str] = ()) -> None:
        """`inside`: started in `douane-engine`, as by another engine. `command`: what runs the body, as whom."""
        controllers = set(folder.joinpath("cgroup.controllers").read_text().split()) & set(delegation.CONTROLLERS)
        start = folder / delegation.ENGINE if inside else folder
        self.process = subprocess.Popen(
            [
                # By root and before the program is executed, as systemd does it.
                *("/bin/sh", "-c", f'echo $$ > {start}/cgroup.procs; exec "$@"', "sh"),
                *(command or (sys.executable,)),
                "-c",
                _PRELUDE + textwrap.dedent(body),
                str(folder),
                *controllers,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the engine ended with {self.process.wait(WITHIN_S)}"
        message: dict[str, Any] = json.loads(line)
        return message

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WITHIN_S)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for end in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if end is not None:
                    end.close()


def cgroup_of(pid: int) -> str:
    """The last part of the name of a process's cgroup."""
    rows = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(row for row in rows if row.startswith("0::")).rpartition("/")[2]
