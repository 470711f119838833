"""The reader of files: its records are read by the contract's own parser, and say what is unread."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from douane.plugins.guest_files import GuestFiles
from douane_plugin import Image, wire
from douane_plugin._record_reader import RecordReader

MIB = 1 << 20


class Kept:
    """What the runtime keeps of a plugin that runs."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}

    def attach(self, name: str, document: Any) -> None:
        self.documents[name] = document

    def alive(self) -> None:
        """Nobody waits."""


def records_of(path: Path, **settings: int) -> tuple[list[tuple[int, Any]], Any]:
    """All records of an image, with the bytes of those of data, and the document."""
    plugin, kept = GuestFiles(**settings), Kept()
    plugin._douane = kept  # type: ignore[assignment]
    with path.open("rb") as file:
        image = cast(Image, SimpleNamespace(file=file, disk_format=None))
        output = b"".join(bytes(part) for part in plugin.transform(image))
    source = io.BytesIO(output)
    reader = RecordReader(lambda: memoryview(source.read(100_000)) if source.tell() < len(output) else None)
    records = []
    while not reader.ended:
        kind, value = reader.next()
        records.append((kind, bytes(value) if kind == wire.RECORD_DATA else value))
    assert source.tell() == len(output)
    return records, kept.documents["unread"]


def make_image(folder: Path, *options: str) -> Path:
    """An ext4 with a large file, a small one, a hole and odd names."""
    tree = folder / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(os.urandom(3 * MIB + 5))
    (tree / os.fsdecode(b"odd \xff")).write_bytes(b"small")
    (tree / "link").symlink_to("large")
    with (tree / "sparse").open("wb") as sparse:
        sparse.truncate(5 * MIB)
    path = folder / "disk.img"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path, "32M"], check=True, capture_output=True)
    return path


def test_the_records_are_those_of_the_tree_that_was_packed(tmp_path: Path) -> None:
    records, unread = records_of(make_image(tmp_path))
    assert unread == {"parts": 0, "listed": []}
    assert [(kind, value.filesystem) for kind, value in records[:1]] == [(wire.RECORD_VOLUME, "ext4")]
    entries = {value.path: value for kind, value in records if kind == wire.RECORD_ENTRY}
    assert set(entries) == {"/", "/lost+found", "/large", "/odd \udcff", "/link", "/sparse"}
    assert entries["/link"].link == "large"
    digests = {value for kind, value in records if kind == wire.RECORD_END_OF_FILE}
    contents = [path for path in (tmp_path / "tree").iterdir() if path.is_file() and not path.is_symlink()]
    assert digests == {hashlib.sha256(path.read_bytes()).digest() for path in contents}
    data = sum(len(value) for kind, value in records if kind == wire.RECORD_DATA)
    assert data == 3 * MIB + 10
    assert [value for kind, value in records if kind == wire.RECORD_HOLE] == [5 * MIB]


def test_a_part_that_cannot_be_read_is_a_record_and_in_the_document(tmp_path: Path) -> None:
    path = tmp_path / "noise.img"
    path.write_bytes(b"noise" + bytes(MIB))
    records, unread = records_of(path)
    parts = [value for kind, value in records if kind == wire.RECORD_UNREAD]
    assert [(part.place, part.code) for part in parts] == [("disk", "guest-unknown")]
    assert unread["parts"] == 1
    assert unread["listed"] == [{"place": parts[0].place, "code": parts[0].code, "why": parts[0].why}]


def test_the_bounds_are_settings(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    for settings in ({"delivered": MIB}, {"entries": 3}):
        records, unread = records_of(image, **settings)
        codes = {value.code for kind, value in records if kind == wire.RECORD_UNREAD}
        assert codes == {"guest-too-much"}
        assert unread["parts"] >= 1
