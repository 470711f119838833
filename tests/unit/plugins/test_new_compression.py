"""A new compression is one module and one line in its registry; `format`, `explain` and `decompress` know it then."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import douane
from douane_plugin import Image, testing
from support.plugin_runs import ChunkSource, TransformReport, answer

MODULE = '''
"""A toy compression: every byte is combined with a key."""

from .compression import Compression
from .requests import Bytes


class Toy(Compression):
    """Signature, key, content."""

    name = "toy"
    decoder = __name__
    signatures = ((0, b"TOY!"),)

    def read(self, match):
        header = yield Bytes(0, 5, "the header")
        match.note("key", header[4], 4)


def unpack(source, limits):
    """Yield the content."""
    limits.begin_member("toy")
    key = source.read(5)[4]
    for piece in source.rest():
        yield bytes(byte ^ key for byte in piece)
'''
LINE = "from .toy import Toy\n"
KEY = 7
DISK = b"a disk " * 20
PACKED = b"TOY!" + bytes([KEY, *(byte ^ KEY for byte in DISK)])


def ours() -> list[str]:
    return [name for name in sys.modules if f"{name}.".startswith("douane.plugins.")]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``load(name)`` imports a plugin's module from a copy of `douane.plugins` to which the compression was added."""
    shutil.copytree(Path(douane.__file__).parent / "plugins", tmp_path / "plugins")
    formats = tmp_path / "plugins/formats"
    (formats / "toy.py").write_text(MODULE)
    registry = formats / "compressions.py"
    registry.write_text(registry.read_text().replace("from .xz", f"{LINE}from .xz"))
    originals = {name: sys.modules.pop(name) for name in ours()}
    monkeypatch.setattr(douane, "__path__", [str(tmp_path)])
    yield lambda name: importlib.import_module(f"douane.plugins.{name}")
    for name in ours():
        del sys.modules[name]
    sys.modules.update(originals)
    if "douane.plugins" in originals:
        douane.plugins = originals["douane.plugins"]  # type: ignore[attr-defined]  # the import system sets it


def unpack(plugin: Any, image: bytes) -> tuple[bytes, TransformReport]:
    report = TransformReport()
    pieces = [bytes(piece) for piece in plugin.transform(Image({}, ChunkSource([image]), transforms=report))]
    return b"".join(pieces), report


def test_the_inspector_knows_and_allows_it(load: Any) -> None:
    inspector = load("format").Format
    verdict, properties = answer(inspector(), PACKED, container_format="compressed")
    assert (verdict, properties["detected"]) == ("accept", "toy")
    assert answer(inspector(formats=["toy"]), PACKED)[0] == "accept"
    assert answer(inspector(formats=["raw", "gzip"]), PACKED) == ("reject", "format-not-allowed")


def test_explain_reports_it(load: Any) -> None:
    (match,) = testing.run(load("explain").Explain, PACKED).documents["explanation"]["formats"]
    assert (match["format"], match["kind"]) == ("toy", "compressed")
    assert match["fields"] == [{"name": "key", "value": KEY, "offset": 4}]


def test_the_transform_unpacks_it(load: Any) -> None:
    data, report = unpack(load("decompress").Decompress(), PACKED)
    assert (data, report.properties) == (DISK, {"compression": "toy", "layers": 1})


def test_the_documentation_of_formats_has_to_list_it(load: Any) -> None:
    assert "toy" in load("_image_format").ALLOWED
    assert [form.about for form in load("formats.registry").FORMATS if form.name == "toy"] == [
        "compressed data; `format` does not unpack it"
    ]


def test_without_a_decoder_it_is_refused_and_never_passed_on_as_a_disk(load: Any) -> None:
    module = load("formats.toy")
    module.Toy.decoder = ""
    with pytest.raises(Exception, match="are of a compression that is not unpacked here") as refusal:
        unpack(load("decompress").Decompress(), PACKED)
    assert refusal.value.code == "compressed-unsupported"  # type: ignore[attr-defined]  # a Reject
