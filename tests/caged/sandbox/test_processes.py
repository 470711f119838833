"""A plugin process sees no other process, and leaves none behind."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from douane import sandbox
from support.sandbox.process import CAGED, WITHIN_S, Cell, Ended, wait_until_nobody_holds

SHELL = (Path("/bin/sh"),)
KILLS = 6


def test_no_other_process_can_be_signalled(tier: sandbox.Tier) -> None:
    with subprocess.Popen(["sleep", "600"]) as outsider:
        try:
            for programs in ((), SHELL):
                with Cell(tier, programs=programs) as cell:
                    keeper = (cell.process.pid,) if programs or tier is sandbox.Tier.FULL else ()
                    for pid in (os.getpid(), os.getppid(), outsider.pid, 1, *keeper):
                        for number in (0, signal.SIGCONT, signal.SIGKILL):
                            assert cell.refused("kill", pid, number) in (1, 3), pid
            assert outsider.poll() is None
        finally:
            outsider.kill()


def test_a_signal_to_all_processes_stays_in_the_sandbox(tier: sandbox.Tier) -> None:
    got: list[int] = []
    handler = signal.signal(signal.SIGCONT, lambda number, _: got.append(number))
    try:
        with Cell(tier) as cell:
            cell.ask("kill_everybody")
    finally:
        signal.signal(signal.SIGCONT, handler)
    assert got == []


OWN = ("cgroup", "fd", "maps", "stat", "statm", "status")


def test_no_other_process_is_visible(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        assert cell.returned("processes") == []
        for pid in ("1", str(os.getpid()), str(os.getppid())):
            assert cell.returned("proc_files", pid) == []
        # Of itself it may know a few numbers, what it runs, which it can read anyway, and where its links lead. Its own
        # namespace is no file that Landlock knows; setns is refused.
        files = cell.returned("proc_files", "self")
        assert {what for what, how in files if how != "readlink"} <= {"exe", "ns/net", *OWN}


def test_two_sandboxes_do_not_reach_each_other(tier: sandbox.Tier) -> None:
    with Cell(tier) as first, Cell(tier) as second:
        assert first.refused("kill", second.process.pid, signal.SIGKILL) in (1, 3)
        assert second.returned("environment") is not None


def test_kill_is_immediate_and_idempotent(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        assert cell.process.poll() is None
        cell.process.kill()
        assert cell.process.poll() == -signal.SIGKILL
        cell.process.kill()
        assert cell.process.wait() == -signal.SIGKILL
        wait_until_nobody_holds(cell.output)


@pytest.mark.parametrize("programs", [(), SHELL], ids=["alone", "programs"])
def test_the_launch_spec_is_gone_before_the_plugin_loads(tier: sandbox.Tier, programs: tuple[Path, ...]) -> None:
    with Cell(tier, programs=programs) as cell:
        places = cell.returned("order_seen")
        assert "cell:main" not in places
        assert "engine_fd" not in places
        assert not re.search(rf"['\"]engine['\"]: ?{os.getpid()}\b", places)  # as the launch spec names the engine
        assert str(CAGED) not in Path(f"/proc/{cell.process.pid}/cmdline").read_text() or tier is sandbox.Tier.FULL


@pytest.mark.parametrize("programs", [(), SHELL], ids=["alone", "programs"])
def test_the_exit_status_is_that_of_the_plugin(tier: sandbox.Tier, programs: tuple[Path, ...]) -> None:
    with Cell(tier, programs=programs) as cell, pytest.raises(Ended):
        cell.ask("leave", 7)
    assert cell.process.poll() == 7
    with Cell(tier, programs=programs) as cell, pytest.raises(Ended):
        cell.ask("raise_signal", int(signal.SIGKILL))
    assert cell.process.poll() == -signal.SIGKILL
    with Cell(tier, programs=programs) as cell, pytest.raises(Ended):
        cell.ask("raise_signal", int(signal.SIGSEGV))
    assert cell.process.poll() == -signal.SIGSEGV


@pytest.mark.parametrize("escape", ["fork", "setsid", "setpgid"])
@pytest.mark.parametrize("ending", ["exit", "kill"])
def test_no_process_outlives_the_sandbox(tier: sandbox.Tier, escape: str, ending: str) -> None:
    with Cell(tier, programs=SHELL) as cell:
        assert cell.returned("stray", escape) == "left"
        assert cell.process.measure().processes == 2
        if ending == "exit":
            with pytest.raises(Ended):
                cell.ask("leave", 0)
        else:
            cell.process.kill()
        wait_until_nobody_holds(cell.output)


def test_the_session_cannot_be_left(tier: sandbox.Tier) -> None:
    with Cell(tier, programs=SHELL) as cell:
        assert cell.returned("setsid") == 1


@pytest.mark.parametrize("programs", [False, True], ids=["alone", "programs"])
def test_no_process_outlives_a_killed_engine(tier: sandbox.Tier, programs: bool) -> None:
    """The engine is a process of its own, killed without a chance to clean up."""
    end, write_end = os.pipe()
    engine = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(CAGED.parents[2])!r})
        from pathlib import Path
        from support.sandbox.process import Cell
        from douane import sandbox
        shell = (Path("/bin/sh"),) if {programs} else ()
        cell = Cell(sandbox.Tier({tier.value!r}), programs=shell, keep=({write_end},))
        if {programs}:
            cell.returned("stray", "setsid")
        cell.order("wait_for_ever")
        print("ready", flush=True)
        sys.stdin.read()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", engine], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(write_end,)
    ) as process:
        os.close(write_end)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    wait_until_nobody_holds(end)
    os.close(end)


@pytest.mark.parametrize("programs", [False, True], ids=["alone", "programs"])
def test_no_process_outlives_an_engine_killed_during_a_start(tier: sandbox.Tier, programs: bool) -> None:
    """The kills are spread over 60 ms, three times the duration of a start."""
    engine = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(CAGED.parents[2])!r})
        from pathlib import Path
        from support.sandbox.process import Cell
        from douane import sandbox
        held = int(sys.argv[1])
        def cage():
            shell = (Path("/bin/sh"),) if {programs} else ()
            return Cell(sandbox.Tier({tier.value!r}), programs=shell, keep=(held,))
        cage()
        print("ready", flush=True)
        while True:
            cage().order("wait_for_ever")
        """
    )
    for instant in range(KILLS):
        end, write_end = os.pipe()
        with subprocess.Popen(
            [sys.executable, "-c", engine, str(write_end)], stdout=subprocess.PIPE, pass_fds=(write_end,)
        ) as process:
            os.close(write_end)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.060 * instant / KILLS)
            process.kill()
        wait_until_nobody_holds(end)
        os.close(end)


def test_no_descriptor_and_no_zombie_remains(tier: sandbox.Tier) -> None:
    def children() -> list[str]:
        return [
            pid
            for task in os.listdir("/proc/self/task")
            for pid in Path(f"/proc/self/task/{task}/children").read_text().split()
        ]

    for programs in ((), SHELL):
        with Cell(tier, programs=programs):
            pass
        gc.collect()
        earlier = len(os.listdir("/proc/self/fd")), children()
        for _ in range(3):
            with Cell(tier, programs=programs):
                pass
        gc.collect()
        assert (len(os.listdir("/proc/self/fd")), children()) == earlier


def test_a_killed_keeper_ends_the_sandbox() -> None:
    with Cell(sandbox.Tier.STRICT, programs=SHELL) as cell:
        cell.returned("stray", "fork")
        os.kill(cell.process.pid, signal.SIGKILL)
        assert cell.process.wait(WITHIN_S) == -signal.SIGKILL
        wait_until_nobody_holds(cell.output)


def test_wait_raises_after_its_timeout(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell, pytest.raises(TimeoutError, match="still runs"):
        cell.process.wait(0.01)
