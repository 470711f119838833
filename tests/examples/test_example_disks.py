"""The plugins that read the start of a disk, or its end, on real disks and on disks that lie."""

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
from example_plugins import MIB, TIERS, Check, answer_of, cut, run_plugin
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
    """Return the start of a disk with a GUID partition table, in which `lies` replace the true numbers."""
    count, entry_bytes = lies.get("count", 128), lies.get("each", 128)
    entries = b"".join(kind.ljust(128, b"\1") for kind in types).ljust(128 * 128, b"\0")
    header = bytearray(
        b"EFI PART"
        + struct.pack("<IIII", 0x10000, lies.get("size", 92), 0, 0)
        + bytes(48)
        + struct.pack("<QIII", lies.get("place", 2), count, entry_bytes, lies.get("entries", zlib.crc32(entries)))
    )
    header[16:20] = struct.pack("<I", lies.get("header", zlib.crc32(header[: lies.get("size", 92)])))
    return bytes(sector) + bytes(header).ljust(sector, b"\0") + entries


# efi_partition


@pytest.mark.parametrize("tier", TIERS)
def test_a_disk_with_an_efi_partition_is_accepted_after_24_kib(
    check: Check, disk: Callable[..., bytes], tier: str
) -> None:
    run = check(disk("-n1:0:+2M", "-t1:ef00", "-n2:0:0"), EFI, tier=tier)
    assert run.answer == ("accepted", None)
    assert run.report["properties"] == {"efi.partitions": 2, "efi.sector_size": 512}
    assert run.verdict("efi")["bytes_seen"] == 24 << 10


def test_a_disk_without_an_efi_partition_is_refused(check: Check, disk: Callable[..., bytes]) -> None:
    assert check(disk("-n1:0:0"), EFI).answer == ("refused", "no-efi-partition")
    assert check(bytes(MIB), EFI).answer == ("refused", "no-gpt")
    assert check(b"", EFI).answer == ("refused", "no-gpt")


def test_sectors_of_4096_bytes_are_supported() -> None:
    result = run_plugin(PARTITION, table([EFI_SYSTEM], sector=4096))
    assert (result.outcome, result.properties) == ("accepted", {"partitions": 1, "sector_size": 4096})


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
def test_a_table_that_lies_is_not_accepted(lies: dict[str, int], expected: tuple[str, str]) -> None:
    assert answer_of(PARTITION, table([EFI_SYSTEM], **lies)) == expected


@given(st.integers(0, 18 << 10), st.lists(st.integers(0, 18 << 10), max_size=8))
def test_a_truncated_table_is_never_accepted(length: int, cuts: list[int]) -> None:
    complete = table([EFI_SYSTEM])
    answer = answer_of(PARTITION, cut(complete[:length], cuts))
    if length >= len(complete):
        assert answer == ("accepted", None)
    else:
        assert answer == (("incomplete", "gpt-cut-off") if length >= 520 else ("refused", "no-gpt"))


# head_fingerprint


@pytest.mark.parametrize(
    ("data", "entropy"), [(b"", 0.0), (b"\0" * 5000, 0.0), (bytes(range(256)) * 8192, 8.0), (b"ab" * 99, 1.0)]
)
def test_digest_and_entropy_of_the_first_mib(check: Check, data: bytes, entropy: float) -> None:
    properties = check(data, HEAD).report["properties"]
    assert properties == {
        "head.sha256": hashlib.sha256(data[:MIB]).hexdigest(),
        "head.entropy": entropy,
        "head.bytes": min(len(data), MIB),
    }


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=20))
def test_the_fingerprint_is_the_same_for_all_cuts(data: bytes, cuts: list[int]) -> None:
    result = run_plugin("head_fingerprint:HeadFingerprint", cut(data, cuts))
    assert result == run_plugin("head_fingerprint:HeadFingerprint", data)
    properties = result.properties
    assert 0.0 <= properties["entropy"] <= 8.0
    if data:
        counts = [data.count(value) for value in set(data)]
        assert math.isclose(
            properties["entropy"],
            math.log2(len(data)) - sum(n * math.log2(n) for n in counts) / len(data),
            abs_tol=1e-4,
        )


# fixed_vhd


def fixed(data: bytes, **lies: int) -> bytes:
    """Return a VHD of fixed size with the disk `data`; `lies` replace the true numbers of its footer."""
    footer = bytearray(512)
    footer[:8] = b"conectix"
    footer[60:64] = struct.pack(">I", lies.get("kind", 2))
    footer[64:68] = struct.pack(">I", lies.get("checksum", ~sum(footer) & 0xFFFFFFFF))
    return data + bytes(footer)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("declared", ["vhd", "vpc"])
def test_the_footer_of_a_vhd_is_removed(check: Check, tmp_path: Path, tier: str, declared: str) -> None:
    raw, vhd = tmp_path / "raw", tmp_path / "made.vhd"
    disk = bytearray(os.urandom(3 * MIB + 512))
    disk[510:512] = b"\x55\xaa"
    raw.write_bytes(disk)
    words = ["-f", "raw", "-O", "vpc", "-o", "subformat=fixed,force_size=on", raw, vhd]
    subprocess.run(["qemu-img", "convert", *words], check=True)
    run = check(vhd, VHD, "--disk-format", declared, tier=tier)
    assert run.answer == ("accepted", None), run.stderr
    assert run.report["disk_format"] == "raw"
    assert run.report["stored"]["sha256"] == hashlib.sha256(disk).hexdigest()
    assert run.report["received"]["size"] - run.report["stored"]["size"] == 512


def convert(image: list[bytes]) -> tuple[bytes | None, str | None]:
    """Return the new image of an image that is declared as a VHD, and its format."""
    result = run_plugin("fixed_vhd:FixedVhd", image, {"disk_format": "vhd"})
    assert result.outcome == "accepted"
    return result.output, result.disk_format


@given(st.binary(max_size=1500), st.lists(st.integers(0, 2048), max_size=40))
def test_the_last_512_bytes_are_removed_for_all_cuts(data: bytes, cuts: list[int]) -> None:
    data = b"\0" + data
    assert convert(cut(fixed(data), cuts)) == (data, "raw")


def test_the_last_512_bytes_are_removed_byte_by_byte() -> None:
    data = os.urandom(3000)
    complete = fixed(data)
    assert convert(cut(complete, range(len(complete)))) == (data, "raw")


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
def test_other_images_stay_unchanged_or_are_not_accepted(
    image: bytes, declared: str | None, expected: tuple[str, str | None]
) -> None:
    result = run_plugin("fixed_vhd:FixedVhd", image, {"disk_format": declared})
    assert (result.outcome, result.code) == expected
    assert result.unchanged == (result.outcome == "accepted")
    assert result.output is None


# uefi_by_gpt


@pytest.mark.parametrize(
    ("gpt", "words", "proposed"),
    [(True, (), "uefi"), (True, ("--property", "hw_firmware_type=bios"), None), (False, (), None)],
)
def test_a_disk_with_gpt_boots_by_uefi_unless_the_tenant_declares_the_firmware(
    check: Check, disk: Callable[..., bytes], gpt: bool, words: tuple[str, ...], proposed: str | None
) -> None:
    plan = (
        '[[plugin]]\nname = "format"\nuse = "format"\n[[plugin]]\nname = "uefi"\n'
        'use = "plugins/uefi_by_gpt.py:UefiByGpt"\nmay_set = ["hw_firmware_type"]\n'
    )
    run = check(disk("-n1:0:0") if gpt else bytes(MIB), plan, *words)
    assert run.answer == ("accepted", None)
    assert run.report["proposed"].get("hw_firmware_type", {}).get("value") == proposed
