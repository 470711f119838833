"""`images`, `show`, `save`, `delete`: what was let in, listed, told, given back and taken away."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.program import Program, end


def test_an_empty_home_lists_nothing(douane: Program) -> None:
    result = douane.run("images")
    assert (result.code, result.text) == (0, "id\tname\tstatus\tformat\tsize\tvirtual size\n")
    assert douane.run("images", "--json").json == {"images": []}


def test_what_was_let_in_is_listed_and_shown(douane: Program, qcow2: Path) -> None:
    image_id = douane.bring_in(qcow2, "--name", "web", "--property", "os=linux")
    size = "192.0 KiB" if qcow2.stat().st_size == 192 << 10 else None
    row = douane.run("images").text.splitlines()[1].split("\t")
    assert row[:4] == [image_id, "web", "active", "qcow2"]
    assert size is None or row[4] == size
    assert row[5] == "10.0 MiB"
    rows = dict(line.split("\t", 1) for line in douane.run("show", image_id[:6]).text.splitlines())
    assert (rows["id"], rows["status"], rows["property os"]) == (image_id, "active", "linux")
    assert rows["size"].startswith(f"{qcow2.stat().st_size} (")
    document = douane.run("show", image_id[:4], "--json").json
    assert document["image"] == douane.images()[0]
    [task] = document["tasks"]
    assert (task["outcome"], task["report"]["outcome"], task["size"]) == ("accepted", "accepted", qcow2.stat().st_size)
    assert [plugin["name"] for plugin in task["plan"]["plugins"]] == ["format"]


@pytest.mark.parametrize("command", ["show", "save", "delete"])
@pytest.mark.parametrize(
    ("image_id", "sentence"),
    [
        ("00000000-0000-4000-8000-000000000000", "no image '00000000-0000-4000-8000-000000000000'"),
        ("0000", "no image whose id begins with 0000"),
        ("abc", "at least its first 4 characters"),
        ("../../catalog.sqlite3", "no image '../../catalog.sqlite3'"),
    ],
)
def test_an_image_that_is_not_there(douane: Program, command: str, image_id: str, sentence: str) -> None:
    target = [douane.place / "target"] if command == "save" else []
    result = douane.run(command, "--json", image_id, *target)
    assert result.code == 2
    assert sentence in result.stderr
    assert sentence in result.json["message"]
    assert not (douane.place / "target").exists()


def test_an_image_is_saved_whole_to_a_file_or_a_pipe(douane: Program, qcow2: Path) -> None:
    image_id = douane.bring_in(qcow2)
    data = qcow2.read_bytes()
    target = douane.place / "saved"
    target.write_bytes(b"something longer than nothing" * 100_000)
    result = douane.run("save", image_id, target)
    assert (result.code, result.stdout, result.stderr) == (0, b"", "")
    assert target.read_bytes() == data
    result = douane.run("save", image_id[:8], "new", "--json")
    assert result.json == {"id": image_id, "file": "new", "size": len(data)}
    assert (douane.place / "new").read_bytes() == data
    assert douane.run("save", image_id, "-").stdout == data
    fifo = douane.place / "fifo"
    os.mkfifo(fifo)
    writer = douane.start("save", image_id, fifo)
    assert subprocess.run(["cat", fifo], capture_output=True, check=True).stdout == data
    assert end(writer).code == 0
    assert not [path for path in douane.place.iterdir() if path.name.endswith(".part")]


def test_a_pipe_that_the_shell_made_is_a_pipe(douane: Program, qcow2: Path) -> None:
    """``save ID >(gzip)`` of a shell hands over /dev/fd/63, which leads to no name in any folder."""
    image_id = douane.bring_in(qcow2)
    result = douane.run("save", image_id, "/dev/stdout")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == qcow2.read_bytes()


@pytest.mark.parametrize(
    ("target", "words"), [("no/such/folder/file", "does not exist; make it first"), (".", "directory")]
)
def test_a_place_that_cannot_be_saved_to(douane: Program, qcow2: Path, target: str, words: str) -> None:
    image_id = douane.bring_in(qcow2)
    result = douane.run("save", image_id, target, "--json")
    assert result.code == 3
    assert words in result.stderr
    assert result.json["code"] == "target-unwritable"


def test_a_file_that_cannot_be_replaced_whole_stays_as_it_was(douane: Program, raw: Path) -> None:
    """The limit stands for a disk that fills up in the middle."""
    image_id = douane.bring_in(raw)
    target = douane.place / "target"
    target.write_bytes(b"the old one")
    result = douane.run("save", image_id, target, wrap=("prlimit", "--fsize=1048576", "--"))
    assert result.code == 3
    assert f"{target} may not grow that large" in result.stderr
    assert target.read_bytes() == b"the old one"
    assert not [path for path in douane.place.iterdir() if path.name.endswith(".part")]


def test_what_is_deleted_is_gone(douane: Program, qcow2: Path) -> None:
    first, second, third = (douane.bring_in(qcow2) for _ in range(3))
    result = douane.run("delete", first[:8], "--json")
    assert (result.code, result.json) == (0, {"deleted": [first]})
    assert [image["id"] for image in douane.images()] == [second, third]
    assert douane.stored() == sorted([f"images/{second}", f"images/{third}"])
    assert douane.run("save", first, douane.place / "target").code in (2, 3)
    assert not (douane.place / "target").exists()
    result = douane.run("delete", second, third)
    assert (result.code, result.stdout, result.stderr) == (0, b"", "")
    assert douane.stored() == []


def test_a_wrong_id_among_several_deletes_none(douane: Program, qcow2: Path) -> None:
    image_id = douane.bring_in(qcow2)
    assert douane.run("delete", image_id, "0000").code == 2
    assert [image["id"] for image in douane.images()] == [image_id]
    assert douane.stored() == [f"images/{image_id}"]


def test_an_image_that_is_named_twice_is_deleted_once(douane: Program, qcow2: Path) -> None:
    image_id = douane.bring_in(qcow2)
    result = douane.run("delete", image_id, image_id[:8], "--json")
    assert (result.code, result.json) == (0, {"deleted": [image_id]}), result.stderr


def test_the_bytes_that_somebody_took_away_are_missed_in_a_sentence(douane: Program, qcow2: Path) -> None:
    image_id = douane.bring_in(qcow2)
    (douane.home / "store" / "images" / image_id).unlink()
    result = douane.run("save", image_id, "-", "--json")
    assert (result.code, result.json["code"]) == (3, "not-found")
    assert image_id in result.stderr
