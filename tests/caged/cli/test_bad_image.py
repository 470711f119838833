"""An image that is not as it should be: a sentence that names it, the right exit code, nothing stored."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.gates import Gate
from support.processes import SECONDS
from support.program import MIB, PLUGINS, Completed, Program, end, without_roots_rights

pytestmark = pytest.mark.usefixtures("nothing_stored")


@pytest.fixture
def nothing_stored(douane: Program) -> Iterator[None]:
    """Whatever the image was: it is not in the store, and not in the list."""
    yield
    assert douane.stored() == []
    if (douane.home / "store").exists():
        assert douane.images() == []


def undecided(result: Completed, code: str, *words: str) -> None:
    """It could not be decided, for the reason `code`, in a sentence with these words."""
    assert (result.code, result.json["outcome"], result.json["code"]) == (3, "undecided", code), result
    assert result.json.get("image") is None
    for word in words:
        assert word in result.json["message"]


def unusable(result: Completed, *words: str) -> None:
    """It was not even begun: exit code 2, and the sentence on both outputs."""
    assert (result.code, result.json["code"], result.json["verdicts"]) == (2, "wrong-configuration", []), result
    for word in words:
        assert word in result.stderr
        assert word in result.json["message"]


def test_an_empty_image(douane: Program) -> None:
    (douane.place / "empty").touch()
    for args, input in ((("empty",), None), (("-",), b"")):
        result = douane.run("import", "--json", *args, input=input)
        assert (result.code, result.json["outcome"], result.json["code"]) == (1, "refused", "empty")
        assert "empty" in result.json["message"]
        assert "upload it again" in result.json["message"]


def test_one_byte_is_no_disk_of_a_format(douane: Program) -> None:
    (douane.place / "one").write_bytes(b"Q")
    for declared in ("qcow2", "vhd"):
        result = douane.run("import", "one", "--disk-format", declared, "--json")
        assert (result.code, result.json["outcome"]) in ((1, "refused"), (3, "undecided")), result
        assert declared in result.json["message"]


def test_the_beginning_of_an_image_is_no_image(douane: Program, qcow2: Path) -> None:
    os.truncate(qcow2, 60)
    result = douane.run("import", qcow2, "--disk-format", "qcow2", "--json")
    assert result.code in (1, 3)
    assert result.json["code"] in ("truncated", "format-mismatch")


@pytest.mark.parametrize("command", ["check", "import"])
def test_a_directory(douane: Program, command: str) -> None:
    (douane.place / "folder").mkdir()
    unusable(douane.run(command, "folder", "--json"), "folder is a directory", "name the image file inside it")


@pytest.mark.parametrize("command", ["check", "import"])
def test_an_image_that_is_not_there(douane: Program, command: str) -> None:
    unusable(douane.run(command, "gone.img", "--json"), "gone.img cannot be opened: No such file")


def test_an_image_that_may_not_be_read(douane: Program, qcow2: Path) -> None:
    qcow2.chmod(0)
    result = douane.run("import", qcow2, "--json", wrap=without_roots_rights())
    assert (result.code, result.json["verdicts"]) == (2, [])
    assert str(qcow2) in result.stderr
    assert "not readable" in result.stderr or "Permission denied" in result.stderr


@contextmanager
def open_directory(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other bytes")


@pytest.mark.parametrize(
    ("change", "code", "how"),
    [
        (lambda path: os.truncate(path, 5), "truncated", "became shorter"),
        (append, "changed-while-read", "grew"),
        (overwrite, "changed-while-read", "changed"),
    ],
    ids=["shorter", "longer", "other"],
)
def test_an_image_that_is_written_while_it_is_read(
    douane: Program, raw: Path, gate: Gate, change: Callable[[Path], None], code: str, how: str
) -> None:
    running = douane.start("import", raw, "--config", gate.config, "--json")
    gate.wait()
    change(raw)
    gate.open()
    undecided(end(running), code, str(raw), f"{how} while it was being read", "wait until nothing writes it")


@pytest.mark.parametrize(
    ("size", "code", "words"),
    [
        (100, "truncated", ("standard input ended after 60 of the announced 100 bytes", "its writer stopped")),
        (50, "longer-than-announced", ("standard input is longer than the announced 50 bytes",)),
    ],
)
def test_a_pipe_that_keeps_no_promise(douane: Program, size: int, code: str, words: tuple[str, ...]) -> None:
    result = douane.run("import", "-", "--size", size, "--json", input=os.urandom(60))
    undecided(result, code, *words)


def test_a_writer_that_dies_in_the_middle(douane: Program, raw: Path, gate: Gate) -> None:
    fifo = douane.place / "fifo"
    os.mkfifo(fifo)
    running = douane.start("import", fifo, "--size", raw.stat().st_size, "--config", gate.config, "--json")
    with fifo.open("wb") as writer:
        writer.write(raw.read_bytes()[: MIB + 5])
        writer.flush()
        gate.wait()
    gate.open()
    undecided(end(running), "truncated", str(fifo), f"ended after {MIB + 5} of the announced {20 * MIB} bytes")


def test_a_disk_that_fails_to_read(douane: Program) -> None:
    """/proc/self/mem is a file whose first page cannot be read, as a bad block cannot."""
    result = douane.run("import", "/proc/self/mem", "--json")
    assert result.code in (1, 3), result
    assert result.json["outcome"] in ("refused", "undecided")


def test_what_is_no_file_at_all(douane: Program) -> None:
    assert douane.run("import", "/dev/null", "--json").json["code"] == "empty"


def test_a_refused_pipe_does_not_keep_its_writer_waiting(douane: Program) -> None:
    """The writer would never end; it is told by its pipe breaking, as soon as there is a refusal."""
    args = ("--plugin", f"{PLUGINS}/echo.py:Picky", "--set", "picky.begins=endless")
    writer = subprocess.Popen(["yes", "endless"], stdout=subprocess.PIPE)
    result = douane.run("import", "-", "--json", *args, stdin=writer.stdout)
    assert writer.stdout is not None
    writer.stdout.close()
    assert writer.wait(SECONDS) == -signal.SIGPIPE
    assert (result.code, result.json["code"]) == (1, "begins-so")
    assert result.json["received"]["size"] <= 4 * MIB


def test_a_file_on_standard_input(douane: Program, qcow2: Path) -> None:
    with qcow2.open("rb") as file:
        result = douane.run("check", "-", "--json", stdin=file)
    assert (result.code, result.json["received"]["size"]) == (0, qcow2.stat().st_size)


def test_standard_input_that_is_closed(douane: Program) -> None:
    result = douane.run("check", "-", "--json", wrap=("sh", "-c", 'exec "$0" "$@" <&-'))
    assert result.code in (2, 3), result
    assert "standard input" in result.json["message"]
