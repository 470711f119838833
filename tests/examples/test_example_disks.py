"""The plugins that look at the beginning of a disk, or at its end: real disks, and ones that lie."""

from __future__ import annotations

import hashlib
import math
import os
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from example_plugins import MIB, TIERS, Check, cut, result, said
from hypothesis import given
from hypothesis import strategies as st

PARTITION = "efi_partition:EfiPartition"
EFI = '[[plugin]]\nname = "efi"\nuse = "plugins/efi_partition.py:EfiPartition"\n'
HEAD = '[[plugin]]\nname = "head"\nuse = "plugins/head_fingerprint.py:HeadFingerprint"\n'
VHD = '[[plugin]]\nname = "vhd"\nuse = "plugins/fixed_vhd.py:FixedVhd"\n[[plugin]]\nname = "format"\nuse = "format"\n'
EFI_SYSTEM = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """``disk("n:0:0", ...)``: a disk of 8 MiB with a GUID partition table as sgdisk makes it."""
    folder = tmp_path_factory.mktemp("disks")

    def make(*words: str) -> bytes:
        path = folder / "disk"
        path.unlink(missing_ok=True)
        path.touch()
        os.truncate(path, 8 * MIB)
        env = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        subprocess.run(["sgdisk", *words, path], check=True, capture_output=True, env=env)
        return path.read_bytes()

    return make


def table(types: list[bytes], *, sector: int = 512, **lies: int) -> bytes:
    """The beginning of a disk with a GUID partition table, in which `lies` stand instead of the truth."""
    count, each = lies.get("count", 128), lies.get("each", 128)
    entries = b"".join(kind.ljust(128, b"\1") for kind in types).ljust(128 * 128, b"\0")
    header = bytearray(
        b"EFI PART"
        + struct.pack("<IIII", 0x10000, lies.get("size", 92), 0, 0)
        + bytes(48)
        + struct.pack("<QIII", lies.get("place", 2), count, each, lies.get("entries", zlib.crc32(entries)))
    )
    header[16:20] = struct.pack("<I", lies.get("header", zlib.crc32(header[: lies.get("size", 92)])))
    return bytes(sector) + bytes(header).ljust(sector, b"\0") + entries


# efi_partition


@pytest.mark.parametrize("tier", TIERS)
def test_a_disk_with_an_efi_partition_passes_and_costs_24_kib(
    check: Check, disk: Callable[..., bytes], tier: str
) -> None:
    run = check(disk("-n1:0:+2M", "-t1:ef00", "-n2:0:0"), EFI, tier=tier)
    assert run.says == ("accepted", None)
    assert run.report["properties"] == {"efi.partitions": 2, "efi.sector_size": 512}
    assert run.verdict("efi")["bytes_seen"] == 24 << 10


def test_a_disk_without_one_is_refused(check: Check, disk: Callable[..., bytes]) -> None:
    assert check(disk("-n1:0:0"), EFI).says == ("refused", "no-efi-partition")
    assert check(bytes(MIB), EFI).says == ("refused", "no-gpt")
    assert check(b"", EFI).says == ("refused", "no-gpt")


def test_sectors_of_4096_bytes_are_read_too() -> None:
    found = result(PARTITION, table([EFI_SYSTEM], sector=4096))
    assert (found.outcome, found.properties) == ("accepted", {"partitions": 1, "sector_size": 4096})


@pytest.mark.parametrize(
    ("lies", "expected"),
    [
        ({"header": 7}, ("refused", "gpt-damaged")),
        ({"entries": 7}, ("refused", "gpt-damaged")),
        ({"size": 0}, ("refused", "gpt-damaged")),
        ({"size": 1 << 31}, ("refused", "gpt-damaged")),
        ({"each": 0}, ("refused", "gpt-damaged")),
        ({"each": 129}, ("refused", "gpt-damaged")),
        ({"count": 0xFFFFFFFF}, ("incomplete", "gpt-too-far")),
        ({"each": 0xFFFFFF80}, ("incomplete", "gpt-too-far")),
        ({"place": 0xFFFFFFFFFFFFFFFF}, ("incomplete", "gpt-too-far")),
        ({"count": 0, "entries": 0}, ("refused", "no-efi-partition")),
    ],
)
def test_a_table_that_lies_is_not_believed(lies: dict[str, int], expected: tuple[str, str]) -> None:
    assert said(PARTITION, table([EFI_SYSTEM], **lies)) == expected


@given(st.integers(0, 18 << 10), st.lists(st.integers(0, 18 << 10), max_size=8))
def test_a_table_that_is_cut_off_is_never_accepted(length: int, cuts: list[int]) -> None:
    whole = table([EFI_SYSTEM])
    found = said(PARTITION, cut(whole[:length], cuts))
    if length >= len(whole):
        assert found == ("accepted", None)
    else:
        assert found == (("incomplete", "gpt-cut-off") if length >= 520 else ("refused", "no-gpt"))


# head_fingerprint


@pytest.mark.parametrize(
    ("data", "entropy"), [(b"", 0.0), (b"\0" * 5000, 0.0), (bytes(range(256)) * 8192, 8.0), (b"ab" * 99, 1.0)]
)
def test_digest_and_entropy_of_the_first_mib(check: Check, data: bytes, entropy: float) -> None:
    found = check(data, HEAD).report["properties"]
    assert found == {
        "head.sha256": hashlib.sha256(data[:MIB]).hexdigest(),
        "head.entropy": entropy,
        "head.bytes": min(len(data), MIB),
    }


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=20))
def test_the_fingerprint_does_not_depend_on_cuts(data: bytes, cuts: list[int]) -> None:
    made = result("head_fingerprint:HeadFingerprint", cut(data, cuts))
    assert made == result("head_fingerprint:HeadFingerprint", data)
    found = made.properties
    assert 0.0 <= found["entropy"] <= 8.0
    if data:
        counts = [data.count(value) for value in set(data)]
        assert math.isclose(
            found["entropy"], math.log2(len(data)) - sum(n * math.log2(n) for n in counts) / len(data), abs_tol=1e-4
        )


# fixed_vhd


def fixed(data: bytes, **lies: int) -> bytes:
    """A VHD of fixed size with this disk."""
    footer = bytearray(512)
    footer[:8] = b"conectix"
    footer[60:64] = struct.pack(">I", lies.get("kind", 2))
    footer[64:68] = struct.pack(">I", lies.get("checksum", ~sum(footer) & 0xFFFFFFFF))
    return data + bytes(footer)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("declared", ["vhd", "vpc"])
def test_the_footer_of_a_vhd_is_taken_away(check: Check, tmp_path: Path, tier: str, declared: str) -> None:
    raw, made = tmp_path / "raw", tmp_path / "made.vhd"
    disk = bytearray(os.urandom(3 * MIB + 512))
    disk[510:512] = b"\x55\xaa"
    raw.write_bytes(disk)
    words = ["-f", "raw", "-O", "vpc", "-o", "subformat=fixed,force_size=on", raw, made]
    subprocess.run(["qemu-img", "convert", *words], check=True)
    run = check(made, VHD, "--disk-format", declared, tier=tier)
    assert run.says == ("accepted", None), run.told
    assert run.report["disk_format"] == "raw"
    assert run.report["stored"]["sha256"] == hashlib.sha256(disk).hexdigest()
    assert run.report["received"]["size"] - run.report["stored"]["size"] == 512


def made_of(image: list[bytes]) -> tuple[bytes | None, str | None]:
    """The new image of what is declared as a VHD, and its format."""
    found = result("fixed_vhd:FixedVhd", image, {"disk_format": "vhd"})
    assert found.outcome == "accepted"
    return found.output, found.disk_format


@given(st.binary(max_size=1500), st.lists(st.integers(0, 2048), max_size=40))
def test_it_is_the_last_512_bytes_however_the_image_is_cut(data: bytes, cuts: list[int]) -> None:
    data = b"\0" + data
    assert made_of(cut(fixed(data), cuts)) == (data, "raw")


def test_byte_by_byte() -> None:
    data = os.urandom(3000)
    whole = fixed(data)
    assert made_of(cut(whole, range(len(whole)))) == (data, "raw")


@pytest.mark.parametrize(
    ("image", "declared", "expected"),
    [
        (fixed(b"disk"), "raw", ("accepted", None)),
        (fixed(b"disk"), None, ("accepted", None)),
        (fixed(b"conectix" + bytes(1024)), "vhd", ("accepted", None)),
        (fixed(b"disk", checksum=7), "vhd", ("refused", "vhd-damaged")),
        (fixed(b"disk", kind=3), "vhd", ("refused", "vhd-not-fixed")),
        (fixed(b"disk")[:-1], "vhd", ("incomplete", "vhd-no-footer")),
        (fixed(b"disk")[:511], "vhd", ("incomplete", "vhd-cut-off")),
        (bytes(4096), "vhd", ("incomplete", "vhd-no-footer")),
        (b"", "vhd", ("incomplete", "vhd-cut-off")),
    ],
)
def test_what_is_no_vhd_of_fixed_size_is_left_alone_or_not_let_in(
    image: bytes, declared: str | None, expected: tuple[str, str | None]
) -> None:
    found = result("fixed_vhd:FixedVhd", image, {"disk_format": declared})
    assert (found.outcome, found.code) == expected
    assert found.unchanged == (found.outcome == "accepted")
    assert found.output is None


# uefi_by_gpt


@pytest.mark.parametrize(
    ("gpt", "words", "proposed"),
    [(True, (), "uefi"), (True, ("--property", "hw_firmware_type=bios"), None), (False, (), None)],
)
def test_a_disk_with_gpt_boots_by_uefi_unless_the_tenant_said_otherwise(
    check: Check, disk: Callable[..., bytes], gpt: bool, words: tuple[str, ...], proposed: str | None
) -> None:
    plan = (
        '[[plugin]]\nname = "format"\nuse = "format"\n[[plugin]]\nname = "uefi"\n'
        'use = "plugins/uefi_by_gpt.py:UefiByGpt"\nmay_set = ["hw_firmware_type"]\n'
    )
    run = check(disk("-n1:0:0") if gpt else bytes(MIB), plan, *words)
    assert run.says == ("accepted", None)
    assert run.report["proposed"].get("hw_firmware_type", {}).get("value") == proposed
