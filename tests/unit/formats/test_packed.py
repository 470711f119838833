"""Packed data that Douane does not unpack: recognised, and told to the operator."""

from __future__ import annotations

import pytest

from douane.plugins.format import Format
from douane.plugins.limits import Limits
from douane_plugin import testing
from support.examination import assert_cuts_agree, examine, names, policies
from support.fuzzing.seeds import seeds
from support.images import MIB
from support.images.iso import iso
from support.plugin_runs import answer

PACKED = ("7z", "compress", "lrzip", "lzip", "lzop", "rar")


@pytest.mark.parametrize("name", PACKED)
def test_packed_data_are_named_and_warned_of(name: str) -> None:
    examination = examine(seeds()[name])
    assert names(examination) == [name]
    assert policies(examination) == {"not-unpacked": "warn"}
    assert_cuts_agree(seeds()[name], 7)


@pytest.mark.parametrize("name", PACKED)
def test_packed_data_pass_with_a_warning_that_helps(name: str) -> None:
    result = testing.run(Format, seeds()[name])
    assert (result.outcome, result.properties["disk_format"], result.properties["detected"]) == (
        "accepted",
        "raw",
        name,
    )
    (warning,) = result.warnings
    assert (warning.code, warning.message.partition(":")[0]) == ("not-unpacked", f"the {name} image")
    assert "unpack it and upload the disk" in warning.message


def test_old_rar_is_a_rar() -> None:
    assert names(examine(seeds()["rar-4"])) == ["rar"]


@pytest.mark.parametrize("name", PACKED)
def test_packed_data_refuse_if_the_operator_says_so(name: str) -> None:
    assert answer(Format(refuse=["not-unpacked"]), seeds()[name]) == ("reject", "unsafe-not-unpacked")
    assert answer(Format(formats=["raw"]), seeds()[name]) == ("reject", "format-not-allowed")


@pytest.mark.parametrize("name", PACKED)
def test_size_of_packed_data_is_unknown(name: str) -> None:
    assert answer(Limits(max_virtual_size=MIB), seeds()[name]) == ("incomplete", "virtual-size-unknown")


@pytest.mark.parametrize("name", PACKED)
def test_packed_data_before_an_iso_are_refused(name: str) -> None:
    assert policies(examine(iso(40, seeds()[name])))["ambiguous"] == "refuse"


@pytest.mark.parametrize(
    "head", [b"LZIP\0\x71", b"LZIP\1\x05", b"\x1f\x9d\x08", b"\x1f\x9d\xf0", b"\x1f\x9d", b"LRZI\1"]
)
def test_other_bytes_are_raw(head: bytes) -> None:
    assert names(examine(head)) == []
    assert names(examine(head.ljust(1000, b"\1"))) == []
