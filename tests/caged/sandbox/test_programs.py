"""A program as a plugin: it starts in a sandbox that is already closed and tested."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
from pathlib import Path

import pytest

from douane import sandbox
from douane.stream.ring import Ring
from support.sandbox.process import WITHIN_S, Cell


class ProgramRun:
    """A run of a program: exit status, output, and the report of its sandbox."""

    def __init__(self, tier: sandbox.Tier, *argv: str, stdin: bytes = b"", keep: tuple[int, ...] = ()) -> None:
        cage = sandbox.SandboxSpec(tier, sandbox.interpreter(), name="program")
        ours, theirs = socket.socketpair()
        ours.settimeout(WITHIN_S)
        source, feed = os.pipe()
        output, written = os.pipe()
        with ours, theirs:
            process = sandbox.start(
                cage,
                sandbox.Program(argv),
                channel=theirs.fileno(),
                keep=keep,
                stdin=source,
                stdout=written,
                stderr=written,
            )
            theirs.close()
            os.close(source)
            os.close(written)
            header = ours.recv(8, socket.MSG_WAITALL)
            payload = ours.recv(int.from_bytes(header[4:], "little"), socket.MSG_WAITALL)
            self.report = sandbox.confirm(payload, cage)
            os.write(feed, stdin)
            os.close(feed)
            self.after_report = ours.recv(100)  # the channel is closed when the program is executed
            self.status = process.wait(WITHIN_S)
        self.output = b""
        while more := os.read(output, 1 << 16):
            self.output += more
        os.close(output)
        process.kill()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "check.sh"
    path.touch(mode=0o755)
    return path


def test_a_program_reads_its_input_and_returns_its_status(tier: sandbox.Tier) -> None:
    run = ProgramRun(tier, "/bin/cat", stdin=b"the image")
    assert (run.status, run.output, run.after_report) == (0, b"the image", b"")


def test_a_shell_script_uses_the_programs_of_the_system(tier: sandbox.Tier, script: Path) -> None:
    script.write_text("#!/bin/sh\nhead -c 3 | wc -c 2>/dev/null >/dev/null && echo seen >&2\nexit 1\n")
    run = ProgramRun(tier, str(script), "argument", stdin=b"the image")
    assert (run.status, run.output) == (1, b"seen\n")


@pytest.mark.parametrize(
    "command",
    [
        "grep root: /etc/passwd",
        "cat /etc/shadow",
        "cat /proc/1/environ",
        "echo x > /var/tmp/from-the-cage",
        "echo x > /usr/from-the-cage",
        "mkdir /home/from-the-cage",
        "kill -9 -1 && kill -0 1",
        "ls /home",
        "unshare -U true",
        "setsid -w true",
        "mount -t tmpfs none /tmp",
    ],
)
def test_a_shell_script_is_as_confined(tier: sandbox.Tier, script: Path, command: str) -> None:
    script.write_text(f"#!/bin/sh\nif {command}; then echo through; fi\nexit 0\n")
    run = ProgramRun(tier, str(script))
    assert b"through" not in run.output
    assert run.report.probes["read the host's accounts"] == "refused"


@pytest.mark.parametrize("kernel", ["this", "before Linux 6.3"])
def test_neither_the_ring_nor_the_image_can_be_executed(
    tier: sandbox.Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    """Bytes of a tenant cannot be executed, whatever the mode of their file."""
    if kernel != "this":
        real = os.memfd_create

        def older(name: str, flags: int) -> int:
            if flags & 0x8:
                raise OSError(errno.EINVAL, "no such flag")
            return real(name, flags)

        monkeypatch.setattr(os, "memfd_create", older)
    script = b"#!/bin/sh\necho through\n"
    image = tmp_path / "image"
    image.write_bytes(script)
    image.chmod(0o755)
    ring = Ring()
    ring.view[: len(script)] = script
    try:
        with image.open("rb") as file:
            fds = [ring.fd, file.fileno()]
            with Cell(tier, programs=(Path("/bin/sh"),), keep=fds, readable=(file.fileno(),)) as cell:
                for fd in fds:
                    assert cell.refused("attacks.execute_fd", fd) == errno.EACCES
    finally:
        ring.close()


def test_a_script_leaves_no_process_behind(tier: sandbox.Tier, script: Path) -> None:
    script.write_text("#!/bin/sh\n(trap '' HUP TERM; sleep 600) &\nexit 0\n")
    assert ProgramRun(tier, str(script)).status == 0  # it returns only when every writer of its output has ended


def test_a_killed_program_has_the_status_of_its_signal(tier: sandbox.Tier, script: Path) -> None:
    script.write_text("#!/bin/sh\nkill -KILL $$\n")
    assert ProgramRun(tier, str(script)).status == -signal.SIGKILL


def test_a_broken_pipe_ends_a_program(tier: sandbox.Tier, script: Path) -> None:
    """Python ignores SIGPIPE; its child processes must not."""
    script.write_text("#!/bin/sh\nyes | head -n 1\n")
    assert ProgramRun(tier, str(script)).output == b"y\n"


def test_a_program_has_no_other_descriptor_and_no_environment(tier: sandbox.Tier, script: Path) -> None:
    script.write_text("#!/bin/sh\nfor n in 3 4 5 6 7 8 9; do if : <&$n; then echo open $n; fi; done 2>/dev/null\nset\n")
    run = ProgramRun(tier, str(script))
    assert b"open" not in run.output
    assert b"HOME=/" not in run.output


def test_a_relative_program_is_refused(tier: sandbox.Tier) -> None:
    with pytest.raises(sandbox.SandboxError, match="must be absolute"):
        ProgramRun(tier, "cat")


def test_a_program_that_closes_its_input_breaks_the_pipe(tier: sandbox.Tier, script: Path) -> None:
    """No process of the sandbox itself keeps the reading end open."""
    script.write_text("#!/bin/sh\nexec 0<&-\nexec sleep 600\n")
    ours, theirs = socket.socketpair()
    source, feed = os.pipe()
    with ours, theirs, open(os.devnull, "wb") as nowhere:
        cage = sandbox.SandboxSpec(tier, sandbox.interpreter())
        run = sandbox.Program((str(script),))
        out = nowhere.fileno()
        process = sandbox.start(cage, run, channel=theirs.fileno(), stdin=source, stdout=out, stderr=out)
        os.close(source)
        watch = select.poll()
        watch.register(feed, 0)  # POLLERR: the last reader has gone (poll(2))
        assert watch.poll(WITHIN_S * 1000)
        assert process.poll() is None
        process.kill()
    os.close(feed)


def test_a_program_that_only_its_owner_may_run_is_named(tier: sandbox.Tier, script: Path) -> None:
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o700)
    if os.geteuid() == 0:
        with pytest.raises(sandbox.SandboxError, match=r"chmod o\+rx"):
            ProgramRun(tier, str(script))
    else:
        assert ProgramRun(tier, str(script)).status == 0


def test_a_missing_path_to_read_is_named(tier: sandbox.Tier, tmp_path: Path) -> None:
    with pytest.raises(sandbox.SandboxError, match="a file of the plugin, does not exist"):
        Cell(tier, read=(tmp_path / "nothing",))
