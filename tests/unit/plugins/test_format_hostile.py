"""The inspector `format` on hostile and broken images."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from douane.plugins.format import Format
from douane.plugins.limits import Limits
from douane_guest.headers.crc32c import crc32c
from support.images import MIB, patched
from support.images.headers import luks
from support.images.iso import iso
from support.images.partitions import mbr_disk, mbr_entry
from support.images.tar import tar
from support.images.vmdk import vmdk_text
from support.plugin_runs import answer, cut

Make = Callable[..., bytes]
FLAT = 'RW 20480 FLAT "/etc/passwd" 0'


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


def u64(value: int) -> bytes:
    return struct.pack(">Q", value)


def judge(image: bytes, **facts: object) -> tuple[str, object]:
    return answer(Format(), image, size=len(image), **facts)


def test_an_empty_image_is_refused() -> None:
    assert answer(Format(), b"", size=0) == ("reject", "empty")
    assert answer(Limits(formats=["raw"]), b"") == ("reject", "empty")


@pytest.mark.parametrize(
    ("disk_format", "container_format", "outcome"),
    [
        *(("raw", "bare", "accept"), ("raw", None, "accept"), ("ami", "bare", "accept")),
        *(("raw", "ova", "reject"), ("raw", "compressed", "reject"), (None, "bare", "reject")),
        *(("qcow2", "bare", "reject"), ("iso", "bare", "reject"), ("made up", "bare", "reject")),
    ],
)
def test_only_a_bare_raw_image_may_have_no_bytes(
    disk_format: str | None, container_format: str | None, outcome: str
) -> None:
    """Nova registers the snapshot of a server that boots from a volume so."""
    declared = {"disk_format": disk_format, "container_format": container_format}
    expected = ("reject", "empty") if outcome == "reject" else ("accept", {"disk_format": "raw", "virtual_size": 0})
    assert answer(Format(), b"", size=0, **declared) == expected
    assert answer(Format(), b"", **declared) == expected
    assert answer(Format(empty="refuse"), b"", size=0, **declared) == ("reject", "empty")
    limits = Limits(formats=["qcow2"], max_size=1, max_virtual_size=1)
    assert answer(limits, b"", size=0, **declared) == (expected if outcome == "reject" else ("accept", None))


QCOW2 = [
    ("backing file", "unsafe-backing-file", (8, u64(512)), (16, u32(11)), (512, b"/etc/passwd")),
    ("data file bit", "unsafe-data-file", (72, u64(4))),
    ("data file extension", "unsafe-data-file", (112, u32(0x44415441) + u32(11) + b"/etc/passwd")),
    ("unknown feature", "unsafe-unknown-feature", (72, u64(1 << 40))),
    ("feature just beyond the known ones", "unsafe-unknown-feature", (72, u64(1 << 5))),
    ("version 4", "unsafe-version", (4, u32(4))),
    ("marked as corrupt", "unsafe-corrupt", (72, u64(2))),
    ("no clusters", "unsafe-header", (20, u32(0))),
    ("clusters of 2^63", "unsafe-header", (20, u32(63))),
    ("unknown encryption", "unsafe-unknown-feature", (32, u32(7))),
    ("L1 table of 32 GiB", "unsafe-header", (36, u32((1 << 32) - 1))),
    ("L1 table in the header", "unsafe-overlap", (40, u64(0))),
    ("L1 table behind the end", "unsafe-outside-file", (40, u64(1 << 40))),
    ("disk too large for the L1 table", "unsafe-virtual-size", (24, u64((1 << 63) - 512))),
    ("refcount table without end", "unsafe-header", (56, u32((1 << 32) - 1))),
    ("snapshots without end", "unsafe-header", (60, u32((1 << 32) - 1))),
    ("header without end", "unsafe-header", (100, u32((1 << 32) - 8))),
]


@pytest.mark.parametrize(("code", "changes"), [(r[1], r[2:]) for r in QCOW2], ids=[str(r[0]) for r in QCOW2])
def test_a_hostile_qcow2_header_is_refused(qemu_img: Make, code: str, changes: tuple[tuple[int, bytes], ...]) -> None:
    image = patched(qemu_img("qcow2"), *changes)
    assert judge(image, disk_format="qcow2") == ("reject", code)
    assert answer(Format(), image) == ("reject", code)


def test_a_qcow2_cut_before_its_tables_is_refused_known_size_or_not(qemu_img: Make) -> None:
    image = qemu_img("qcow2")
    assert judge(image[:-8]) == ("reject", "unsafe-outside-file")
    assert answer(Format(), image[:-8]) == ("reject", "unsafe-outside-file")


def test_the_first_version_of_qcow_is_another_format(qemu_img: Make) -> None:
    image = qemu_img("qcow")
    assert judge(image, disk_format="qcow2") == ("reject", "format-mismatch")
    assert judge(image) == ("reject", "format-not-allowed")


DESCRIPTORS = [
    ("flat", "unsafe-external-extent", vmdk_text(FLAT)),
    ("zero", "unsafe-subformat", vmdk_text("RW 20480 ZERO")),
    ("sparse", "unsafe-external-extent", vmdk_text('RW 20480 SPARSE "x.vmdk"', "monolithicSparse")),
    ("NUL behind it", "unsafe-external-extent", vmdk_text(FLAT) + bytes(8192)),
    ("not ASCII", "unsafe-external-extent", patched(vmdk_text(FLAT) + b"\n" * 600, (500, b"\xff\xfe"))),
    ("late version", "unsafe-external-extent", b"  \n# nothing here\nversion=1\n" + FLAT.encode()),
    ("capitals", "unsafe-external-extent", vmdk_text(FLAT).upper()),
    ("no first line", "unsafe-external-extent", vmdk_text(FLAT).replace(b"# Disk DescriptorFile\n", b"")),
    ("only a parent", "unsafe-parent", vmdk_text("").replace(b"parentCID=ffffffff", b"parentCID=00000001")),
]


@pytest.mark.parametrize(("code", "text"), [row[1:] for row in DESCRIPTORS], ids=[row[0] for row in DESCRIPTORS])
@pytest.mark.parametrize("declared", ["vmdk", "raw", None])
def test_a_vmdk_that_only_names_other_files_is_refused(code: str, text: bytes, declared: str | None) -> None:
    assert judge(text, disk_format=declared) == ("reject", code)


def test_a_text_that_no_program_takes_for_a_descriptor_is_text(qemu_img: Make) -> None:
    """qemu-img says "raw" of it, too: nothing may stand before the version but comments and blank lines."""
    text = b"\n  \n# nothing here\nversion=1\n" + FLAT.encode()
    assert judge(text, disk_format="vmdk") == ("reject", "format-mismatch")
    assert judge(text, disk_format="raw")[0] == "accept"


def descriptor(image: bytes, old: bytes, new: bytes) -> bytes:
    """`image`, a VMDK, with a change to the text that is embedded in it."""
    size = 20 * 512
    text = image[512 : 512 + size].rstrip(b"\0")
    assert old in text
    return patched(image, (512, text.replace(old, new).ljust(size, b"\0")))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"parentCID=ffffffff", b'parentCID=12345678\nparentFileNameHint="/etc/passwd"', "unsafe-parent"),
        (b"SPARSE", b"FLAT", "unsafe-external-extent"),
        (b"# The Disk", b'RW 1 SPARSE "second.vmdk"\n# The Disk', "unsafe-external-extent"),
        (b'SPARSE "', b'SPARSE "/etc/', "unsafe-external-extent"),
        (b"monolithicSparse", b"monolithicFlat", "unsafe-descriptor"),
        (b"RW ", b"# RW ", "unsafe-descriptor"),
        (b"ddb.", b"\xff\xff", "unsafe-descriptor"),
    ],
)
def test_a_hostile_vmdk_descriptor_is_refused(qemu_img: Make, old: bytes, new: bytes, code: str) -> None:
    assert judge(descriptor(qemu_img("vmdk"), old, new), disk_format="vmdk") == ("reject", code)


def test_a_part_of_a_split_vmdk_is_refused(qemu_img: Make) -> None:
    parts = patched(qemu_img("vmdk"), (28, bytes(16)), (512, bytes(20 * 512)))
    assert judge(parts) == ("reject", "unsafe-subformat")
    cowd = struct.pack("<4sIIIIIII", b"COWD", 1, 3, 4096, 1, 4, 1, 64).ljust(1 << 16, b"\0")
    assert judge(cowd) == ("reject", "unsafe-subformat")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ((20, bytes(8)), "unsafe-header"),
        ((20, struct.pack("<Q", 1 << 62)), "unsafe-header"),
        ((44, bytes(4)), "unsafe-header"),
        ((44, b"\xff" * 4), "unsafe-header"),
        ((12, b"\xff" * 8), "unsafe-header"),
        ((4, b"\x09"), "unsafe-version"),
        ((28, struct.pack("<Q", 1 << 50)), "unsafe-descriptor"),
        ((36, struct.pack("<Q", 1 << 40)), "unsafe-descriptor"),
        ((48, struct.pack("<Q", 1 << 40)), "unsafe-outside-file"),
    ],
)
def test_a_vmdk_header_that_lies_is_refused(qemu_img: Make, change: tuple[int, bytes], code: str) -> None:
    assert judge(patched(qemu_img("vmdk"), change)) == ("reject", code)


def test_a_vmdk_footer_that_contradicts_the_header_is_refused(qemu_img: Make) -> None:
    image = patched(qemu_img("vmdk", "-o", "subformat=streamOptimized"), (56, b"\xff" * 8))
    footer = patched(image[:512], (28, struct.pack("<Q", 9)), (56, struct.pack("<Q", 30)))
    marker = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    hostile = image + marker + footer + bytes(512)
    assert judge(hostile)[0] == "reject"
    assert answer(Format(), hostile)[0] == "reject"


def checked_vhd(image: bytes, *changes: tuple[int, bytes]) -> bytes:
    """A dynamic VHD with changes in its footer, in both copies, and the checksum that they need."""
    footer = patched(image[:512], *changes, (64, bytes(4)))
    footer = patched(footer, (64, u32(~sum(footer) & 0xFFFFFFFF)))
    return patched(image, (0, footer), (len(image) - 512, footer))


def test_a_vhd_that_needs_its_parent_is_refused(qemu_img: Make) -> None:
    assert judge(checked_vhd(qemu_img("vpc"), (60, u32(4)))) == ("reject", "unsafe-parent")


def test_a_vhd_header_that_lies_is_refused(qemu_img: Make) -> None:
    image = qemu_img("vpc", "-o", "force_size=on")
    assert judge(patched(image, (80, b"another")))[1] == "unsafe-checksum"
    assert judge(checked_vhd(image, (48, b"\xff" * 8)))[1] in ("unsafe-virtual-size", "unsafe-header")
    assert judge(checked_vhd(image, (16, u64(1 << 60)))) == ("incomplete", "truncated")
    assert judge(patched(image, (512 + 28, u32((1 << 32) - 1))))[0] == "reject"
    assert judge(patched(image, (512 + 32, u32(0))))[0] == "reject"


def test_a_disk_whose_last_sector_only_looks_like_a_vhd_footer_stays_raw(qemu_img: Make) -> None:
    footer = qemu_img("vpc", "-o", "subformat=fixed,force_size=on")[-512:]
    outcome, properties = answer(Format(), bytes(MIB) + footer, disk_format="raw")
    assert (outcome, properties["disk_format"], properties["virtual_size"]) == ("accept", "raw", MIB + 512)


def test_a_vdi_that_needs_its_parent_is_refused(qemu_img: Make) -> None:
    image = qemu_img("vdi")
    assert judge(patched(image, (0x4C, b"\4"))) == ("reject", "unsafe-parent")
    assert judge(patched(image, (0x170, b"\xff" * 8)))[0] == "reject"
    assert judge(patched(image, (0x180, b"\xff" * 4)))[0] == "reject"


PARENT_LOCATOR = bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c")


def vhdx_header(image: bytes, at: int, guid: bytes) -> tuple[int, bytes]:
    """The change that gives the header of 4 KiB at `at` a log, and the checksum that it needs (MS-VHDX, 2.2.2)."""
    header = patched(image[at : at + 4096], (48, guid), (4, bytes(4)))
    return at, patched(header, (4, struct.pack("<I", crc32c(header))))


def test_an_incomplete_vhdx_is_refused(qemu_img: Make) -> None:
    image = qemu_img("vhdx")
    table = image.index(b"metadata")
    entries = image[table + 10]
    entry = PARENT_LOCATOR + struct.pack("<III", 65536 + 100, 20, 4).ljust(16, b"\0")
    parent = ((table + 32 + 32 * entries, entry), (table + 10, bytes([entries + 1])))
    assert judge(patched(image, *parent)) == ("reject", "unsafe-parent")
    logs = [vhdx_header(image, at, b"log of 16 bytes!") for at in (1 << 16, 2 << 16)]
    assert judge(patched(image, *logs)) == ("reject", "unsafe-log")
    assert judge(patched(image, (1 << 16, bytes(4)), (2 << 16, bytes(4))))[0] == "reject"


def test_a_vhdx_whose_log_was_replayed_is_accepted(qemu_img: Make) -> None:
    """The header that is not the current one may still name the log that was in use before."""
    image = qemu_img("vhdx")
    newest = max(1 << 16, 2 << 16, key=lambda at: image[at + 8 : at + 16][::-1])
    assert judge(patched(image, vhdx_header(image, (3 << 16) - newest, b"log of 16 bytes!")))[0] == "accept"


def test_a_vhdx_whose_structures_cannot_be_found_is_not_accepted(qemu_img: Make) -> None:
    image = qemu_img("vhdx")
    table, regions = image.index(b"metadata"), 192 << 10
    assert judge(image[:65536]) == ("incomplete", "truncated")
    for keep in (MIB, table + 100):
        assert answer(Format(), image[:keep])[0] != "accept"
    for change in ((regions, b"what"), (regions + 8, b"\xff" * 4), (table, b"whatever"), (table + 10, bytes(2))):
        assert judge(patched(image, change))[0] == "reject"


def test_a_version_of_luks_that_cannot_be_checked_is_refused() -> None:
    assert judge(luks(version=3)) == ("reject", "unsafe-version")
    assert judge(luks(version=2)) == ("reject", "unsafe-header")
    assert judge(luks(payload_sectors=1 << 30)) == ("reject", "unsafe-outside-file")
    assert judge(luks()[:400]) == ("incomplete", "truncated")


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vpc", "vhdx"])
def test_two_formats_in_one_file_are_refused(qemu_img: Make, kind: str) -> None:
    image = iso(64, first=qemu_img(kind)[:4096])
    assert judge(image) == ("reject", "format-ambiguous")
    assert judge(image, disk_format="iso") == ("reject", "format-ambiguous")


def test_an_archive_with_a_second_format_is_refused(qemu_img: Make) -> None:
    qcow2 = qemu_img("qcow2")
    assert judge(mbr_disk(mbr_entry(0x83, 1, 9), size=MIB, code=patched(qcow2[:440], (104, bytes(8))))) == (
        "reject",
        "format-ambiguous",
    )
    assert judge(iso(64, first=luks(size=1024))) == ("reject", "format-ambiguous")
    assert judge(iso(64, first=tar(("machine.ovf", b""))[:512])) == ("reject", "format-ambiguous")
    assert judge(iso(64, first=vmdk_text(FLAT)))[0] == "reject"


def test_the_operator_may_allow_two_formats(qemu_img: Make) -> None:
    """And what is told then is what qemu-img would open first."""
    image = iso(64, first=qemu_img("vdi")[:4096])
    outcome, properties = answer(
        Format(ignore=["ambiguous", "outside-file", "overlap", "header"]), image, size=len(image)
    )
    assert (outcome, properties["disk_format"]) == ("accept", "vdi")


def test_a_truncated_iso_image_is_incomplete() -> None:
    assert judge(iso(64)[:-2048]) == ("incomplete", "truncated")
    assert answer(Format(), iso(64)[:-2048]) == ("incomplete", "truncated")


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx", "vpc", "qed"])
@pytest.mark.parametrize("length", [80, 103, 511])
def test_an_image_that_ends_in_its_header_is_never_accepted(qemu_img: Make, kind: str, length: int) -> None:
    image = qemu_img(kind)[:length]
    assert judge(image)[1] in ("truncated", "unsafe-outside-file")
    assert judge(image, disk_format="raw")[0] == "reject"


@pytest.mark.parametrize("length", [80, 511])
def test_a_vdi_that_ends_in_its_header_is_raw(qemu_img: Make, length: int) -> None:
    """qemu knows it by 512 bytes at least (block/vdi.c, vdi_probe): declared as VDI, it is a mismatch."""
    image = qemu_img("vdi")[:length]
    assert judge(image, disk_format="vdi") == ("reject", "format-mismatch")
    assert judge(image, disk_format="raw")[0] == "accept"


def test_the_first_of_two_faults_is_the_same_for_all_chunk_sizes(qemu_img: Make) -> None:
    image = qemu_img("vmdk", data=bytes(range(256)) * 8192)
    image = patched(image, (36, struct.pack("<Q", 1 << 40)), (512, b"\xff"))  # descriptor: too long, no text
    answers = {
        answer(Format(), cut(image, range(0, len(image), step)), size=len(image))
        for step in (512, 5000, 65536, 70001, len(image))
    }
    assert len(answers) == 1
    assert answers.pop()[0] == "reject"
