"""The program as a user runs it: a process of its own, with a home and a TMPDIR of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
SECONDS = 60
"""How long anything may take before a test fails instead of hanging; nothing is asserted on it."""

CAGED = Path(__file__).parents[1] / "caged"
PLUGINS = CAGED / "cli" / "plugins"
ENGINE_PLUGINS = CAGED / "engine" / "plugins"

MIB = 1 << 20


@dataclass(frozen=True)
class Done:
    """How one run of the program ended, and what it said."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which is one JSON object and nothing else."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict), found
        return found


class Program:
    """Runs `douane`. After the test, :meth:`nothing_left` looks for what must not be there."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "home"
        self.temporary = place / "temporary"
        self.temporary.mkdir()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("DOUANE_", "XDG_"))}
        self.env |= {
            "DOUANE_HOME": str(self.home),
            "HOME": str(place / "user"),
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
        }
        self._before = children()

    def command(self, *args: object) -> list[str]:
        """The command line; the program is the one beside this Python."""
        return [str(Path(sys.executable).parent / "douane"), *map(str, args)]

    def start(
        self,
        *args: object,
        wrap: Sequence[str] = (),
        env: dict[str, str] | None = None,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Begin a run; `wrap` is the beginning of the command line, another program that runs this one."""
        return subprocess.Popen(
            [*wrap, *self.command(*args)],
            cwd=self.place,
            env=env or self.env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def run(self, *args: object, input: bytes | None = None, **how: Any) -> Done:
        """A whole run. `input` is what its standard input gives."""
        if input is not None:
            how["stdin"] = subprocess.PIPE
        return end(self.start(*args, **how), input)

    def images(self) -> list[dict[str, Any]]:
        """What `douane images --json` lists."""
        done = self.run("images", "--json")
        assert done.code == 0, done.stderr
        listed: list[dict[str, Any]] = done.json["images"]
        return listed

    def bring_in(self, file: Path, *args: object) -> str:
        """Import a file that will be accepted; the image's id."""
        done = self.run("import", file, *args)
        assert done.code == 0, done.stderr
        return done.text.strip()

    def stored(self) -> list[str]:
        """The names of all files in the store, staged ones with their folder."""
        store = self.home / "store"
        return sorted(str(path.relative_to(store)) for path in store.rglob("*") if not path.is_dir())

    def nothing_left(self) -> None:
        """No process, no temporary file, no staged file."""
        wait_until_gone(self._before)
        assert list(self.temporary.iterdir()) == []
        assert [name for name in self.stored() if name.startswith("staging/")] == []


def end(process: subprocess.Popen[bytes], input: bytes | None = None) -> Done:
    """Wait for a run's end. Whatever happened, nobody is shown a traceback."""
    try:
        out, err = process.communicate(input, timeout=SECONDS)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    done = Done(process.returncode, out or b"", (err or b"").decode(errors="replace"))
    assert "Traceback" not in done.stderr.replace("plugin Traceback", "")
    assert "Exception ignored" not in done.stderr
    return done


def become_subreaper() -> None:
    """Orphans of ours become our children, so that a process that was left behind is seen (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """The processes whose parent we are."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError):  # the thread has just ended
            found |= {int(pid) for pid in Path(f"/proc/self/task/{task}/children").read_text().split()}
    return found


def wait_until_gone(before: set[int]) -> None:
    """Wait for the end of every process that came to us since `before`; they must end without our doing."""
    while left := children() - before:
        for pid in left:
            fd = os.pidfd_open(pid)
            try:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                if not poll.poll(10_000):
                    command = command_of(pid)
                    os.kill(pid, signal.SIGKILL)  # so that it is this test that fails, and not the next one too
                    os.waitpid(pid, 0)
                    raise AssertionError(f"a process lives on: {command}")
            finally:
                os.close(fd)
            os.waitpid(pid, 0)


def command_of(pid: int) -> str:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:300]


def without_roots_rights() -> tuple[str, ...]:
    """Begins a command line whose program has to ask permission like any user's, also when the tests run as root."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
