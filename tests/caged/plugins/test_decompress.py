"""The transform `decompress` in its sandbox, with the limits of the engine, through the program."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.images.compression import (
    PACKERS,
    STREAMS,
    by_program,
    lzma_with_dictionary,
    xz_with_dictionary,
    zstd,
    zstd_with_window,
)
from support.plans import plan, plugin
from support.processes import assert_contract_alone, modules_loaded_by
from support.program import Program

MIB = 1 << 20
DISK = random.Random(5).randbytes(3 * MIB) + bytes(9 * MIB) + random.Random(6).randbytes(MIB)

Check = Callable[..., dict[str, Any]]


@pytest.fixture
def check(program: Program) -> Check:
    """``check(packed, command=..., tier=..., **keys of the plugin)``: the report of a plan of `decompress` alone."""

    def go(packed: bytes, *, command: str = "check", tier: str = "strict", **keys: object) -> dict[str, Any]:
        return program.report(packed, plan(plugin("decompress", **keys)), command, tier=tier)

    return go


@pytest.mark.parametrize("tier", ["strict", "full"])
@pytest.mark.parametrize("name", PACKERS)
def test_each_format_is_unpacked_in_the_sandbox(check: Check, tier: str, name: str) -> None:
    report = check(PACKERS[name](DISK), tier=tier)
    assert report["outcome"] == "accepted", report
    assert report["stored"]["sha256"] == hashlib.sha256(DISK).hexdigest()
    assert report["verdicts"][0]["properties"] == {"decompress.compression": name, "decompress.layers": 1}
    assert report["container_format"] == "bare"


def test_an_uncompressed_image_is_stored_unchanged(check: Check) -> None:
    report = check(DISK)
    assert report["stored"] == report["received"]
    assert report["verdicts"][0]["properties"] == {}


def test_an_import_stores_the_unpacked_image_and_leaves_nothing_else(check: Check, tmp_path: Path) -> None:
    report = check(by_program(DISK, "gzip", "-c"), command="import")
    assert report["exit"] == 0, report
    files = [path for path in (tmp_path / "home" / "store").rglob("*") if path.is_file()]
    assert [path.read_bytes() == DISK for path in files] == [True]


def test_a_refused_import_leaves_nothing(check: Check, tmp_path: Path) -> None:
    report = check(gzip.compress(DISK)[:-9], command="import")
    assert (report["exit"], report["code"]) == (1, "compressed-truncated")
    assert [path for path in (tmp_path / "home" / "store").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "packed",
    [
        xz_with_dictionary(b"small", 1 << 30),
        zstd_with_window(b"small", 1 << 31),
        lzma_with_dictionary(b"small", 3 << 29),
    ],
    ids=["xz", "zstd", "lzma"],
)
def test_a_huge_window_is_refused_by_the_plugin_before_its_memory_limit(check: Check, packed: bytes) -> None:
    report = check(packed, memory="64MiB", config={"max_window": "16MiB"})
    assert (report["exit"], report["code"]) == (1, "compressed-window")


def test_the_default_window_fits_into_the_default_memory(check: Check) -> None:
    packed = by_program(DISK, "zstd", "--long=27", "-c")
    assert check(packed)["stored"]["sha256"] == hashlib.sha256(DISK).hexdigest()


def many(pack: Callable[[bytes], bytes], gigabytes: int) -> bytes:
    """So many GiB of zeros, as members of 64 MiB."""
    return pack(bytes(64 * MIB)) * (16 * gigabytes)


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (lambda: many(zstd.compress, 10), {}),
        (lambda: many(lambda data: lzma.compress(data, preset=0), 4), {}),
        (lambda: many(bz2.compress, 4), {}),
        (lambda: many(gzip.compress, 2), {}),
        (lambda: gzip.compress(many(gzip.compress, 10)), {"config": {"depth": 2}}),
        (lambda: PACKERS["zip"](many(gzip.compress, 4)), {"config": {"depth": 2}}),
        (lambda: PACKERS["lz4"](many(STREAMS["lz4"], 2)), {"config": {"depth": 2}}),
    ],
    ids=["zstd-10G", "xz-4G", "bzip2-4G", "gzip-2G", "gzip-gzip-10G", "zip-gzip-4G", "lz4-lz4-2G"],
)
def test_a_bomb_of_zeros_is_refused_in_little_memory(
    check: Check, make: Callable[[], bytes], keys: dict[str, object]
) -> None:
    report = check(make(), memory="64MiB", **keys)
    assert (report["exit"], report["code"]) == (1, "compressed-bomb")
    assert report["stored"]["complete"] is False


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress, bz2.compress], ids=["gzip", "zstd", "bzip2"])
def test_a_bomb_of_other_data_ends_at_the_limit_of_the_engine(check: Check, pack: Callable[[bytes], bytes]) -> None:
    """What takes room in the store is bounded long before the gibibyte that zeros may take."""
    report = check(pack(b"BOMB" * (16 * MIB)) * 4, memory="64MiB")
    assert (report["exit"], report["code"]) == (1, "transform-limit")
    assert report["stored"]["size"] < 128 * MIB


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_a_nearly_empty_disk_is_accepted(check: Check, packer: str) -> None:
    """2 GiB with 6 MiB of data in it, packed some 300 times: such disks are honest."""
    report = check(PACKERS[packer](os.urandom(6 * MIB)) + many(PACKERS[packer], 2))
    assert report["outcome"] == "accepted", report
    assert report["stored"]["size"] == 6 * MIB + (2 << 30)


def test_a_bomb_within_a_bomb_is_refused_at_once(check: Check) -> None:
    report = check(gzip.compress(gzip.compress(bytes(64 * MIB))), memory="64MiB")
    assert (report["exit"], report["code"]) == (1, "compressed-again")
    assert report["stored"]["size"] == 0


def test_it_imports_only_the_contract_and_loads_libraries_late() -> None:
    loaded = modules_loaded_by("import douane.plugins.decompress; douane.plugins.decompress.Decompress()")
    assert_contract_alone(loaded)
    assert not loaded & {"lzma", "bz2", "zlib", "isal", "lz4", "backports.zstd", "_compression"}
