"""The settings of `format`: allowed formats, and the worth of findings."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from typing import Any

import pytest

from douane.plugins.format import Format
from douane.plugins.formats.codes import CODES
from support.images import MIB, patched
from support.images.headers import luks
from support.images.partitions import gpt_disk
from support.plugin_runs import answer

Make = Callable[..., bytes]


def odd_table() -> bytes:
    """A GPT whose first header was overwritten; the copy at the end is whole."""
    return patched(gpt_disk((64, 1983), size=MIB), (512, bytes(8)))


def test_a_partition_table_that_contradicts_itself_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="douane_plugin"):
        assert answer(Format(), odd_table(), size=MIB, disk_format="raw")[0] == "accept"
    assert any("partition-table" in record.getMessage() for record in caplog.records)


def test_the_operator_may_refuse_such_a_table() -> None:
    strict = Format(partition_table="strict")
    assert answer(strict, odd_table(), size=MIB) == ("reject", "unsafe-partition-table")
    assert answer(strict, gpt_disk((64, 1983), size=MIB), size=MIB)[0] == "accept"


def test_the_operator_may_ignore_such_a_table(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="douane_plugin"):
        assert answer(Format(partition_table="off"), odd_table(), size=MIB)[0] == "accept"
    assert not [record for record in caplog.records if record.name.startswith("douane_plugin")]


def test_an_unknown_finding_is_a_configuration_error() -> None:
    with pytest.raises(ValueError, match=r"backing-fil'.*backing-file"):
        Format(ignore=["backing-fil"])


def test_the_operator_sets_the_worth_of_findings(qemu_img: Make, caplog: pytest.LogCaptureFixture) -> None:
    image = luks()
    with caplog.at_level(logging.WARNING, logger="douane_plugin"):
        assert answer(Format(), image)[0] == "accept"
    assert any("encrypted" in record.getMessage() for record in caplog.records)
    assert answer(Format(refuse=["encrypted"]), image) == ("reject", "unsafe-encrypted")
    backed = patched(
        qemu_img("qcow2"), (8, (512).to_bytes(8, "big")), (16, (9).to_bytes(4, "big")), (512, b"/etc/host")
    )
    assert answer(Format(), backed) == ("reject", "unsafe-backing-file")
    assert answer(Format(warn=["backing-file"]), backed)[0] == "accept"
    assert answer(Format(ignore=["backing-file"]), backed)[0] == "accept"


def test_only_allowed_formats_pass(qemu_img: Make) -> None:
    assert answer(Format(formats=["raw", "vpc"]), qemu_img("qcow2")) == ("reject", "format-not-allowed")
    assert answer(Format(formats=["raw", "vpc"]), qemu_img("vpc", "-o", "force_size=on"))[0] == "accept"
    assert answer(Format(), qemu_img("qed")) == ("reject", "format-not-allowed")
    assert answer(Format(formats=["qed"]), qemu_img("qed"))[0] == "accept"
    assert answer(Format(formats=["qcow2"]), gzip.compress(b"x" * 5000)) == ("reject", "format-not-allowed")
    assert answer(Format(), gzip.compress(b"x" * 5000))[0] == "accept"


def test_an_unknown_format_is_a_configuration_error() -> None:
    with pytest.raises(ValueError, match=r"'formats'.*'qcow3'.*qcow2"):
        Format(formats=["raw", "qcow3"])


@pytest.mark.parametrize("name", ["raw", "ami", "gpt", "vpc", "parallels", "ova", "zstd", "nrg", "ewf", "ovf"])
def test_every_format_can_be_allowed_by_its_names(name: str) -> None:
    assert Format(formats=[name])


@pytest.mark.parametrize("code", CODES)
def test_the_worth_of_every_finding_can_be_changed(code: str) -> None:
    for key in ("refuse", "warn", "ignore"):
        settings: dict[str, Any] = {key: [code]}
        assert Format(**settings).worth[code] == {"ignore": "pass"}.get(key, key)


def test_the_code_of_partition_tables_overrides_their_setting() -> None:
    assert answer(Format(partition_table="off", refuse=["partition-table"]), odd_table())[0] == "reject"


@pytest.mark.parametrize(
    "config",
    [{"refuse": ["log"], "warn": ["log"]}, {"formats": []}, {"warn": ["nonsense"]}, {"refuse": ["log", "log"]}],
)
def test_a_contradicting_configuration_is_an_error(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"twice|empty|unknown"):
        Format(**config)
