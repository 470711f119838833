"""Ctrl-C and SIGTERM in the middle: nothing stored, nobody left, and the next command finds everything in order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.gates import Gate
from support.processes import SECONDS
from support.program import PLUGINS, Program, end
from support.sizes import ALL
from support.terminals import Terminal, plain


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["import", "check"])
def test_a_signal_in_the_middle(
    douane: Program, raw: Path, gate: Gate, number: signal.Signals, code: int, command: str
) -> None:
    running = douane.start(command, raw, "--config", gate.config, "--json")
    gate.wait()
    running.send_signal(number)
    result = end(running)
    assert result.code == code
    douane.nothing_left()
    assert douane.stored() == []
    if number == signal.SIGINT:
        assert "interrupted" in result.stderr
    if command == "import":
        assert douane.images() == []
        assert douane.run("import", raw).code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment(douane: Program, raw: Path, number: signal.Signals) -> None:
    """From the first instructions of the program to after its end: all or nothing, and nobody left."""
    chance = random.Random(number)
    for _ in range(12 if ALL else 5):
        running = douane.start("import", raw, "--plugin", f"{PLUGINS}/echo.py:Echo", "--json")
        time.sleep(chance.uniform(0.3, 1.0))
        running.send_signal(number)
        code = running.wait(SECONDS)
        running.communicate()
        images = douane.images()
        # 3 with an image: it could not be told any more that it is active, which is said then.
        assert (code, len(images)) in [(0, 1), (3, 1), (128 + number, 0), (-number, 0)]
        for image in images:
            assert douane.run("delete", image["id"]).code == 0
        assert douane.stored() == []


def test_the_end_of_an_interrupted_import_is_kept(douane: Program, raw: Path, gate: Gate) -> None:
    running = douane.start("import", raw, "--config", gate.config)
    gate.wait()
    [image] = douane.images()
    running.send_signal(signal.SIGTERM)
    end(running)
    message = douane.run("show", image["id"], "--json").json
    assert message["image"]["status"] == "deleted"
    [task] = message["tasks"]
    assert (task["outcome"], task["code"]) == ("cancelled", "cancelled")
    assert "import the image again" in task["message"]


def test_ctrl_c_on_the_terminal(douane: Program, raw: Path, gate: Gate) -> None:
    """The key reaches every process in the foreground at once, not only ours."""
    terminal = Terminal()
    running = terminal.start(douane, "import", raw, "--config", gate.config)
    gate.wait()
    terminal.press(b"\x03")
    screen = terminal.read()
    os.close(terminal.ours)
    assert running.wait(SECONDS) == 130, screen
    assert "Traceback" not in screen
    assert "interrupted; nothing was stored" in plain(screen)
    assert douane.images() == []
    assert douane.stored() == []


def test_ctrl_c_while_the_pipe_is_silent(douane: Program) -> None:
    """There is nothing to read, and nobody knows whether there ever will be."""
    read, write = os.pipe()
    gate = Gate(douane.place, "silent")
    running = douane.start("import", "-", "--config", gate.config, stdin=read)
    os.write(write, bytes(1 << 16))
    os.write(write, b"x")  # returns when the engine has begun to read: the pipe held no more
    running.send_signal(signal.SIGINT)
    result = end(running)
    os.close(read)
    os.close(write)
    gate.close()
    assert result.code == 130
    assert douane.images() == []


def test_a_service_manager_ends_a_slow_start(douane: Program, qcow2: Path) -> None:
    """SIGTERM while a plugin is still in its constructor, seen by what it says there."""
    slow = douane.place / "slow.py"
    slow.write_text(
        "import sys, time\n"
        "from douane_plugin import Inspector\n"
        "class Slow(Inspector):\n"
        "    def __init__(self):\n"
        "        print('in the constructor', flush=True)\n"
        "        time.sleep(3600)\n"
        "    def inspect(self, image): pass\n"
    )
    running = douane.start("import", qcow2, "--plugin", f"{slow}:Slow", "--verbose")
    assert running.stderr is not None
    assert running.stderr.readline() == b"slow: in the constructor\n"
    running.terminate()
    assert end(running).code == 143
    assert douane.images() == []


def test_a_program_without_end_is_ended_with_its_children(douane: Program, raw: Path) -> None:
    """The program's own children too: the last sleep is nobody's but the cage's."""
    command = "exec:/bin/sh -c 'sleep 1001 & sleep 1002 & echo begun >&2; exec sleep 1003'"
    running = douane.start("check", raw, "--plugin", f"slow={command}", "--verbose")
    assert running.stderr is not None
    assert running.stderr.readline() == b"slow: begun\n"
    running.send_signal(signal.SIGINT)
    assert end(running).code == 130
    douane.nothing_left()
    assert subprocess.run(["pgrep", "-f", "^sleep 100[123]$"], check=False, capture_output=True).stdout == b""


def test_a_save_that_is_interrupted_leaves_the_old_file(douane: Program, raw: Path) -> None:
    """The reader of a pipe is slow: that is where the signal comes. A file is replaced in one step, or not."""
    image_id = douane.bring_in(raw, "-p", f"{PLUGINS}/echo.py:Echo")
    fifo = douane.place / "fifo"
    os.mkfifo(fifo)
    running = douane.start("save", image_id, fifo)
    with fifo.open("rb") as reader:
        assert reader.read(1)
        running.send_signal(signal.SIGINT)
        assert end(running).code == 130
    assert douane.run("save", image_id, "-").stdout == raw.read_bytes()
