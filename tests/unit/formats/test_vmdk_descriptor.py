"""VMDK: descriptors, and extents that need a descriptor. Any text that a tool takes for a descriptor is recognised, and
is not a disk."""

from __future__ import annotations

import struct

import pytest

from support.examination import assert_cuts_agree, details, examine, names, refused
from support.images.vmdk import vmdk_text

FLAT = 'RW 20480 FLAT "/etc/passwd" 0'
PLAIN = vmdk_text(FLAT)


@pytest.mark.parametrize(
    ("extents", "size"),
    [
        (FLAT, 20480),
        ('RW 20480 FLAT "../../../etc/shadow" 0', 20480),
        ('RW 20480 FLAT "nbd:127.0.0.1:10809" 0', 20480),
        ('RW 20480 FLAT "/dev/vda" 0', 20480),
        ('RW 20480 VMFS "x-flat.vmdk"', 20480),
        ('RW 100 SPARSE "a-s001.vmdk"\nRW 50 SPARSE "a-s002.vmdk"', 150),
        ('RW 63 FLAT "/dev/sda" 0\nRW 100 ZERO', 163),
    ],
)
@pytest.mark.parametrize("cut", [100, 1 << 20])
def test_every_named_extent_is_refused(extents: str, size: int, cut: int) -> None:
    examination = examine(vmdk_text(extents), cut=cut)
    assert names(examination) == ["vmdk-descriptor"]
    assert refused(examination) == {"subformat", "external-extent"}
    assert examination.matches[0].virtual_size == size * 512
    for line in extents.split("\n"):
        if '"' in line:
            assert repr(line.split('"')[1]) in details(examination)


def test_descriptor_without_files_is_refused() -> None:
    assert refused(vmdk_text("RW 20480 ZERO")) == {"subformat"}


def test_sparse_descriptor_names_its_file() -> None:
    examination = examine(vmdk_text(FLAT, "monolithicSparse"))
    assert refused(examination) == {"subformat", "external-extent"}
    assert examination.matches[0].variant == "monolithicSparse"


@pytest.mark.parametrize(
    ("image", "disguised"),
    [
        (PLAIN.replace(b"\n", b"\r\n"), False),
        (b"# hello\n  \n" + PLAIN, False),
        (b"version=1\n" + PLAIN.partition(b"version=1\n")[2], False),
        (PLAIN.ljust(512, b"\0") + bytes(8000), False),
        (PLAIN + b"\0" * 100 + b"hidden", True),
        (PLAIN + b"\xff" * 600, True),
        (PLAIN + b"\x01", True),
        (PLAIN + b"\x85\n\xa0\n", True),
        (b"\n" + PLAIN, True),
        (b"\t \r\n" + PLAIN, True),
        (b"\xef\xbb\xbf" + PLAIN, True),
        (b"\0" * 16 + PLAIN, True),
        (PLAIN.replace(b"version=1\n", b"version=4\n"), True),
        (PLAIN.replace(b"# Disk DescriptorFile\n", b"").replace(b"version=1\n", b""), True),
        (b"junk\n" + PLAIN.partition(b"\n")[2], True),
        (PLAIN.lower().replace(b"createtype", b"createType").replace(b"version=1", b"Version = 1"), True),
        (PLAIN.decode().encode("utf-16"), True),
        (PLAIN + b'createType="monolithicSparse"\n', True),
        (PLAIN + b"#" * (1 << 20), True),
    ],
)
def test_descriptor_for_one_parser_alone_is_refused(image: bytes, disguised: bool) -> None:
    examination = examine(image)
    assert names(examination)[0] == "vmdk-descriptor"
    assert ("descriptor" in refused(examination)) == disguised
    assert "subformat" in refused(examination)


@pytest.mark.parametrize(
    "image",
    [
        b"#!/bin/sh\nversion=1\n",
        b"# a list of createType values\n",
        b"version=10\n",
        b"createType is a key of VMDK descriptors, and so is CID",
        b"",
        bytes(4096),
    ],
)
def test_other_text_is_not_a_descriptor(image: bytes) -> None:
    # but for the first, which qemu does take for one
    assert ("vmdk-descriptor" in names(examine(image))) == image.startswith(b"#!")


def test_parent_in_the_text_is_refused() -> None:
    examination = examine(vmdk_text('RW 8 SPARSE "delta.vmdk"', "twoGbMaxExtentSparse", parentFileNameHint="base.vmdk"))
    assert "parent" in refused(examination)


def cowd(**changed: int) -> bytes:
    """A COWD extent of 10 MiB with one grain table."""
    values = {"version": 1, "flags": 3, "sectors": 20480, "grain": 1, "directory": 4, "tables": 1} | changed
    return (struct.pack("<4s7I", b"COWD", *values.values(), 0).ljust(2048, b"\0")) + struct.pack("<I", 5).ljust(
        512, b"\0"
    )


def test_cowd_extent_is_refused() -> None:
    examination = examine(cowd() + bytes(16384))
    assert names(examination) == ["vmdk-cowd"]
    assert refused(examination) == {"subformat"}
    assert examination.matches[0].virtual_size == 20480 * 512
    assert examination.matches[0].disk_format == "vmdk"


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (cowd(), "outside-file"),
        (cowd(version=2) + bytes(16384), "version"),
        (cowd(grain=0) + bytes(16384), "header"),
        (cowd(tables=0xFFFFFFFF) + bytes(16384), "header"),
        (cowd(directory=0xFFFFFF) + bytes(16384), "outside-file"),
        (cowd(flags=2)[:32] + b"base.vmdk" + cowd()[41:] + bytes(16384), "parent"),
        (cowd()[:20], "truncated"),
    ],
)
def test_impossible_cowd_extent_is_found(image: bytes, code: str) -> None:
    assert refused(image) == {"subformat", code}


def sesparse(*, version: int = 0x200000001, flags: int = 0, grain: int = 8, replay: int = 0) -> bytes:
    """An SE sparse extent without grains: only its two headers."""
    parts = (1, 1, 2, 1, 3, 1, 4, 1, 5, 64, 69, 1, 70, 1, 71, 0)
    header = struct.pack("<26Q", 0xCAFEBABE, version, 20480, grain, 64, flags, 0, 0, 0, 0, *parts)
    volatile = struct.pack("<4Q", 0xCAFECAFE, 0, 0, replay)
    return header.ljust(512, b"\0") + volatile.ljust(512, b"\0") + bytes(70 * 512)


def test_se_sparse_extent_is_refused_and_its_journal_found() -> None:
    examination = examine(sesparse())
    assert names(examination)[0] == "vmdk-sesparse"
    assert refused(examination) == {"subformat"}
    assert examination.matches[0].virtual_size == 20480 * 512
    assert refused(sesparse(replay=1)) == {"subformat", "log"}
    assert refused(sesparse(version=1)) == {"subformat", "version"}
    assert refused(sesparse(flags=1)) == {"subformat", "unknown-feature"}
    assert refused(sesparse(grain=16)) == {"subformat", "header"}
    damaged = sesparse()
    assert refused(damaged[:512] + b"x" + damaged[513:]) == {"subformat", "header"}
    assert "outside-file" in refused(sesparse()[:4096])


@pytest.mark.parametrize("image", [PLAIN, cowd() + bytes(16384), sesparse()])
def test_chunk_boundaries_change_nothing(image: bytes) -> None:
    for length in range(0, len(image), 37 if len(image) < 1000 else 1531):
        assert_cuts_agree(image[:length], cut=333)
