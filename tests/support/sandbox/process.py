"""A process in a sandbox, driven by a test."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from douane import sandbox

CAGED = Path(__file__).with_name("caged")
WITHIN_S = 60


class Ended(Exception):
    """The process ended before its reply."""


class Cell:
    """A sandbox with the tests' own runtime. Use as a context manager; `ask` calls a function inside."""

    def __init__(
        self,
        tier: sandbox.Tier,
        *,
        bounds: sandbox.Bounds | None = None,
        read: tuple[Path, ...] = (),
        programs: tuple[Path, ...] = (),
        forks: bool = False,
        keep: Sequence[int] = (),
        readable: Sequence[int] = (),
        writable: Sequence[int] = (),
        calls: int | None = None,
        interpreter: sandbox.Interpreter | None = None,
        granted: tuple[sandbox.GrantedPath, ...] = (),
    ) -> None:
        base = interpreter or sandbox.interpreter()
        self.cage = sandbox.SandboxSpec(
            tier,
            replace(base, sys_path=(*base.sys_path, str(CAGED))),
            bounds or sandbox.Bounds(),
            read=(CAGED, *read),
            programs=programs,
            forks=forks,
            granted=granted,
            name="cell",
        )
        self.channel, far = socket.socketpair()
        self.channel.settimeout(WITHIN_S)
        self.output, written = os.pipe()
        with far:
            try:
                self.process = sandbox.start(
                    self.cage,
                    sandbox.PythonRuntime("cell:main"),
                    channel=far.fileno(),
                    keep=keep,
                    readable=readable,
                    writable=writable,
                    calls=calls,
                    stdout=written,
                    stderr=written,
                )
            finally:
                os.close(written)
        self._answers = self.channel.makefile("rb")
        header = self._answers.read(8)
        if len(header) < 8:
            raise Ended(f"before the report: {self.process.wait(WITHIN_S)}, {self.stdout_text()}")
        assert int.from_bytes(header[:4], "little") == 1
        self.payload = self._answers.read(int.from_bytes(header[4:], "little"))
        self.report = sandbox.confirm(self.payload, self.cage)

    def order(self, name: str, *arguments: Any) -> None:
        """Let it do something, without waiting for the answer."""
        self.channel.sendall(json.dumps([name, *arguments]).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """What the last order gave: {"returned": …}, {"refused": errno} or {"raised": …}. Raises Ended."""
        line = self._answers.readline()
        if not line:
            raise Ended(self.process.wait(WITHIN_S))
        reply: dict[str, Any] = json.loads(line)
        return reply

    def ask(self, name: str, *arguments: Any) -> dict[str, Any]:
        """Order and answer."""
        self.order(name, *arguments)
        return self.answer()

    def returned(self, name: str, *arguments: Any) -> Any:
        """What it returned; fails the test if it was refused."""
        answer = self.ask(name, *arguments)
        assert "returned" in answer, answer
        return answer["returned"]

    def refused(self, name: str, *arguments: Any) -> int:
        """The errno it got; fails the test if it was not refused."""
        answer = self.ask(name, *arguments)
        assert "refused" in answer, f"{name}{arguments} got through: {answer}"
        return int(answer["refused"])

    def stdout_text(self) -> str:
        """What it wrote to its output, as far as it is there."""
        stdout_text = b""
        while select.select([self.output], [], [], 0)[0] and (more := os.read(self.output, 1 << 16)):
            stdout_text += more
        return stdout_text.decode(errors="replace")

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self._answers.close()
        self.channel.close()
        os.close(self.output)


def pids_holding(path: str) -> list[int]:
    """Processes whose command line names `path`."""
    pids = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                with open(f"/proc/{entry.name}/cmdline", "rb") as file:
                    if path.encode() in file.read():
                        pids.append(int(entry.name))
            except OSError:
                continue
    return pids


def wait_until_nobody_holds(end: int) -> None:
    """Wait until no process has the other end of the pipe `end`."""
    watch = select.poll()
    watch.register(end, select.POLLIN)
    while True:
        assert watch.poll(WITHIN_S * 1000), "a process of the sandbox is still alive"
        if not os.read(end, 1 << 16):
            return


def ring(content: bytes, size: int = 1 << 16) -> int:
    """A read-only descriptor of a sealed memfd, as the engine makes it."""
    import fcntl

    fd = os.memfd_create("ring", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    os.pwrite(fd, content, 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0x1 | 0x2 | 0x4 | 0x10)
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(fd)
    return again
