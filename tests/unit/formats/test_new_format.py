"""A new format is one module and one line in the registry: `format`, `limits`, `explain` and `convert` know it."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from douane import plugins
from douane_plugin import testing
from support.plugin_runs import answer

MODULE = '''
"""The disks of a toy computer."""

from .base import REFUSE, Format
from .requests import Bytes


class Toy(Format):
    """Signature, flags, size of the disk."""

    name = "toy"
    about = "a disk of a toy computer"
    disk_format = "toy"
    declared_as = ("toy", "toy-disk")
    qemu_driver = "toys"
    signatures = ((0, b"TOY!"),)
    codes = (("batteries", REFUSE, "its batteries are empty; charge them"),)

    def read(self, match):
        header = yield Bytes(0, 16, "the header")
        match.note("flags", header[4], 4)
        match.virtual_size = int.from_bytes(header[8:16], "little")
        if header[4]:
            match.find("batteries", f"flags is {header[4]}", 4)
'''
LINE = "from .toy import Toy\n"
GOOD, EMPTY = (b"TOY!" + bytes((flags, 0, 0, 0)) + (4096).to_bytes(8, "little") + bytes(100) for flags in (0, 1))


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """``load(name)`` imports a module from a copy of the plugins with the new format."""
    folder = tmp_path_factory.mktemp("toys")
    shutil.copytree(Path(plugins.__file__).parent, folder / "toy_plugins")
    (folder / "toy_plugins/formats/toy.py").write_text(MODULE)
    registry = folder / "toy_plugins/formats/registry.py"
    registry.write_text(registry.read_text().replace("from .udf", f"{LINE}from .udf"))

    def load_module(name: str) -> ModuleType:
        return importlib.import_module(f"toy_plugins.{name}")

    sys.path.insert(0, str(folder))
    yield load_module
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy_plugins"]:
        del sys.modules[name]


def test_format_is_allowed_if_the_operator_lists_it(load: Any) -> None:
    inspector = load("format").Format
    assert answer(inspector(), GOOD) == ("reject", "format-not-allowed")
    assert answer(inspector(formats=["toy"]), GOOD) == (
        "accept",
        {"disk_format": "toy", "virtual_size": 4096, "container_format": "bare"},
    )
    assert answer(load("limits").Limits(formats=["toy-disk"], max_virtual_size=4096), GOOD) == ("accept", None)
    assert answer(load("limits").Limits(max_virtual_size=4095), GOOD) == ("reject", "virtual-size-too-large")


def test_declared_format_is_compared(load: Any) -> None:
    inspector = load("format").Format(formats=["toy", "raw"])
    for declared in ("toy", "toy-disk"):
        assert answer(inspector, GOOD, disk_format=declared)[0] == "accept"
        assert answer(inspector, bytes(4096), disk_format=declared) == ("reject", "format-mismatch")
    assert answer(inspector, GOOD, disk_format="qcow2") == ("reject", "format-mismatch")


def test_code_of_the_format_refuses_unless_ignored(load: Any) -> None:
    inspector = load("format").Format
    assert answer(inspector(formats=["toy"]), EMPTY) == ("reject", "unsafe-batteries")
    assert answer(inspector(formats=["toy"], ignore=["batteries"]), EMPTY)[0] == "accept"


def test_explain_shows_the_format(load: Any) -> None:
    explanation = testing.run(load("explain").Explain, EMPTY).documents["explanation"]
    (match,) = explanation["formats"]
    assert (match["format"], match["virtual_size"]) == ("toy", 4096)
    assert match["fields"] == [{"name": "flags", "value": 1, "offset": 4}]
    assert [(finding["code"], finding["worth"]) for finding in match["findings"]] == [("batteries", "refuse")]


def test_convert_knows_the_driver(load: Any) -> None:
    assert load("_image_format").QEMU_DRIVERS["toy"] == "toys"
