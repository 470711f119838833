"""The modules that the built-in inspectors load: each starts in a process of its own."""

from __future__ import annotations

import pytest

from support.processes import assert_contract_alone, modules_loaded_by

INSPECT = """
from douane_plugin import Image
class Source:
    goes_on = False
    def __init__(self):
        self.ended = False
    def take(self):
        if not self.ended:
            self.ended = True
            return memoryview(bytes(9999))
def inspect(plugin):
    plugin.inspect(Image({}, Source()))
"""
FORMAT = (
    INSPECT
    + """
from douane.plugins.format import Format
from douane.plugins.limits import Limits
inspect(Format())
inspect(Limits(formats=["raw"]))
"""
)
OSLO = (
    INSPECT
    + """
from douane.plugins.oslo_format import OsloFormat
inspect(OsloFormat())
"""
)


@pytest.mark.parametrize(
    "name", ["format", "limits", "explain", "checksum", "oslo_format", "provenance", "qemu_info", "signature"]
)
def test_a_plugin_stands_on_the_contract_alone(name: str) -> None:
    assert_contract_alone(modules_loaded_by(f"import douane.plugins.{name}"))


def test_format_and_limits_load_few_modules() -> None:
    loaded = modules_loaded_by(FORMAT)
    assert "douane.plugins.formats.examination" in loaded
    assert not loaded & {
        "oslo_utils",
        "json",
        "hashlib",
        "socket",
        "typing",
        "re",
        "collections",
        "dataclasses",
        "xml",
        "subprocess",
        "locale",
    }


def test_the_runtime_of_a_plugin_loads_no_slow_module() -> None:
    assert not modules_loaded_by("import douane_plugin._runtime") & {
        "typing",
        "re",
        "collections",
        "inspect",
        "dataclasses",
    }


def test_only_the_needed_part_of_oslo_utils_is_loaded() -> None:
    loaded = modules_loaded_by(OSLO)
    assert "oslo_utils.units" in loaded
    assert not loaded & {"oslo_i18n", "cryptography", "oslo_utils.strutils", "locale", "json", "hashlib", "socket"}


def test_the_rest_of_oslo_utils_can_be_imported_later() -> None:
    code = OSLO + "import oslo_utils.imageutils; oslo_utils.imageutils.QemuImgInfo('')"
    assert "oslo_utils.strutils" in modules_loaded_by(code)
