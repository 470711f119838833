"""What `format` says of images that mean harm, or are broken."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from handmade import MIB, gpt, iso, luks, mbr, patched, ploop, tar, vmdk_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images_in_memory import answer, cut

from douane.plugins.format import Format
from douane.plugins.limits import Limits

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


QCOW2 = [
    ("backing file", "unsafe-backing-file", (8, u64(512)), (16, u32(11)), (512, b"/etc/passwd")),
    ("data file bit", "unsafe-data-file", (72, u64(4))),
    ("data file extension", "unsafe-data-file", (112, u32(0x44415441) + u32(11) + b"/etc/passwd")),
    ("unknown feature", "unsafe-unknown-features", (72, u64(1 << 40))),
    ("feature just beyond the known ones", "unsafe-unknown-features", (72, u64(1 << 5))),
    ("version 1", "unsafe-unknown-features", (4, u32(1))),
    ("version 4", "unsafe-unknown-features", (4, u32(4))),
    ("marked as corrupt", "unsafe-corrupt", (72, u64(2))),
    ("no clusters", "unsafe-header", (20, u32(0))),
    ("clusters of 2^63", "unsafe-header", (20, u32(63))),
    ("unknown encryption", "unsafe-header", (32, u32(7))),
    ("L1 table of 32 GiB", "unsafe-header", (36, u32((1 << 32) - 1))),
    ("L1 table in the header", "unsafe-header", (40, u64(0))),
    ("L1 table too small for the disk", "unsafe-header", (24, u64((1 << 63) - 512))),
    ("refcount table without end", "unsafe-header", (56, u32((1 << 32) - 1))),
    ("snapshots without end", "unsafe-header", (60, u32((1 << 32) - 1))),
    ("header without end", "unsafe-header", (100, u32((1 << 32) - 8))),
]


@pytest.mark.parametrize(("code", "changes"), [(r[1], r[2:]) for r in QCOW2], ids=[str(r[0]) for r in QCOW2])
def test_a_hostile_qcow2_header_is_refused(qemu_img: Make, code: str, changes: tuple[tuple[int, bytes], ...]) -> None:
    image = patched(qemu_img("qcow2"), *changes)
    assert judge(image, disk_format="qcow2") == ("reject", code)
    assert answer(Format(), image) == ("reject", code)


def test_a_qcow2_cut_before_its_tables_is_incomplete(qemu_img: Make) -> None:
    image = qemu_img("qcow2")
    assert judge(image[:-8]) == ("incomplete", "truncated")
    assert answer(Format(), image[:-8]) == ("incomplete", "truncated")


def test_an_operator_may_switch_a_check_off(qemu_img: Make) -> None:
    image = patched(qemu_img("qcow2"), (8, u64(512)), (16, u32(11)), (512, b"/etc/passwd"))
    outcome, properties = answer(Format(ignore=["backing-file"]), image, size=len(image))
    assert (outcome, properties["virtual_size"]) == ("accept", 8 * MIB)


@pytest.mark.parametrize(
    "text",
    [
        vmdk_text(FLAT),
        vmdk_text("RW 20480 ZERO"),
        vmdk_text('RW 20480 SPARSE "x.vmdk"', "monolithicSparse"),
        vmdk_text(FLAT) + bytes(8192),
        patched(vmdk_text(FLAT) + b"\n" * 600, (500, b"\xff\xfe")),
        b"\n  \n# nothing here\nversion=1\n" + FLAT.encode(),
        vmdk_text(FLAT).replace(b"# Disk DescriptorFile\n", b"").upper(),
    ],
    ids=["flat", "zero", "sparse", "NUL behind it", "not ASCII", "late version", "capitals"],
)
@pytest.mark.parametrize(("declared", "code"), [("vmdk", "unsafe-descriptor"), ("raw", "format-mismatch")])
def test_a_vmdk_that_only_names_other_files_is_refused(text: bytes, declared: str, code: str) -> None:
    assert judge(text, disk_format=declared) == ("reject", code)


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
        (b"SPARSE", b"FLAT", "unsafe-extents"),
        (b"# The Disk", b'RW 1 SPARSE "second.vmdk"\n# The Disk', "unsafe-extents"),
        (b'SPARSE "', b'SPARSE "/etc/', "unsafe-descriptor"),
        (b"monolithicSparse", b"monolithicFlat", "unsafe-descriptor"),
        (b"RW ", b"# RW ", "unsafe-descriptor"),
        (b"ddb.", b"\xff\xff", "unsafe-descriptor"),
    ],
)
def test_a_hostile_vmdk_descriptor_is_refused(qemu_img: Make, old: bytes, new: bytes, code: str) -> None:
    assert judge(descriptor(qemu_img("vmdk"), old, new), disk_format="vmdk") == ("reject", code)


def test_a_part_of_a_split_vmdk_is_refused(qemu_img: Make) -> None:
    part = patched(qemu_img("vmdk"), (28, bytes(16)))
    assert judge(part) == ("reject", "unsafe-subformat")
    assert judge(b"COWD" + bytes(4096)) == ("reject", "unsafe-subformat")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((20, bytes(8)), ("reject", "unsafe-header")),
        ((20, struct.pack("<Q", 1 << 62)), ("reject", "unsafe-header")),
        ((44, bytes(4)), ("reject", "unsafe-header")),
        ((44, b"\xff" * 4), ("reject", "unsafe-header")),
        ((12, b"\xff" * 8), ("reject", "unsafe-virtual-size")),
        ((4, b"\x09"), ("incomplete", "format-unreadable")),
        ((28, struct.pack("<Q", 1 << 50)), ("incomplete", "format-unreadable")),
        ((36, struct.pack("<Q", 1 << 40)), ("incomplete", "truncated")),
        ((48, struct.pack("<Q", 1 << 40)), ("incomplete", "truncated")),
    ],
)
def test_a_vmdk_header_that_lies_is_not_accepted(
    qemu_img: Make, change: tuple[int, bytes], told: tuple[str, str]
) -> None:
    assert judge(patched(qemu_img("vmdk"), change)) == told


def test_a_vmdk_footer_that_contradicts_the_header_is_refused(qemu_img: Make) -> None:
    image = patched(qemu_img("vmdk", "-o", "subformat=streamOptimized"), (56, b"\xff" * 8))
    footer = patched(image[:512], (28, struct.pack("<Q", 9)), (56, struct.pack("<Q", 30)))
    marker = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    hostile = image + marker + footer + bytes(512)
    assert judge(hostile) == ("reject", "unsafe-footer")
    assert judge(image + bytes(70000) + marker + footer + bytes(512)) == ("reject", "unsafe-footer")
    sound = patched(footer, (28, image[28:36]))
    assert judge(image + bytes(70000) + marker + sound + bytes(512))[0] == "accept"


def test_a_vhd_that_needs_its_parent_is_refused(qemu_img: Make) -> None:
    assert judge(patched(qemu_img("vpc"), (60, u32(4)))) == ("reject", "unsafe-parent")


def test_a_vhd_header_that_lies_is_not_accepted(qemu_img: Make) -> None:
    image = qemu_img("vpc", "-o", "force_size=on")
    assert judge(patched(image, (48, b"\xff" * 8))) == ("reject", "unsafe-virtual-size")
    assert judge(patched(image, (16, u64(1 << 60)))) == ("incomplete", "truncated")
    assert judge(patched(image, (512 + 28, u32((1 << 32) - 1)))) == ("incomplete", "truncated")
    assert judge(patched(image, (512 + 32, u32(0)))) == ("reject", "unsafe-header")


def test_a_disk_whose_last_sector_only_looks_like_a_vhd_footer_stays_raw(qemu_img: Make) -> None:
    footer = qemu_img("vpc", "-o", "subformat=fixed,force_size=on")[-512:]
    assert judge(bytes(MIB) + footer)[1] == {"disk_format": "raw", "virtual_size": MIB + 512}


def test_a_vdi_that_needs_its_parent_is_refused(qemu_img: Make) -> None:
    image = qemu_img("vdi")
    assert judge(patched(image, (0x4C, b"\4"))) == ("reject", "unsafe-parent")
    assert judge(patched(image, (0x170, b"\xff" * 8))) == ("reject", "unsafe-virtual-size")
    assert judge(patched(image, (0x180, b"\xff" * 4))) == ("incomplete", "truncated")


PARENT_LOCATOR = bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c")


def test_a_vhdx_that_is_not_whole_is_refused(qemu_img: Make) -> None:
    image = qemu_img("vhdx")
    table = image.index(b"metadata")
    entries = image[table + 10]
    parent = (table + 32 + 32 * entries, PARENT_LOCATOR)
    assert judge(patched(image, parent, (table + 10, bytes([entries + 1])))) == ("reject", "unsafe-parent")
    logs = [(at + 48, b"log of 16 bytes!") for at in (1 << 16, 2 << 16)]
    assert judge(patched(image, *logs)) == ("reject", "unsafe-log")
    assert judge(patched(image, (1 << 16, bytes(4)), (2 << 16, bytes(4)))) == ("reject", "unsafe-header")


def test_a_vhdx_whose_log_was_replayed_is_accepted(qemu_img: Make) -> None:
    """The header that is not the current one may still name the log that was in use before."""
    image = qemu_img("vhdx")
    newest = max(1 << 16, 2 << 16, key=lambda at: image[at + 8 : at + 16][::-1])
    assert judge(patched(image, ((3 << 16) - newest + 48, b"log of 16 bytes!")))[0] == "accept"


def test_a_vhdx_whose_structures_cannot_be_found_is_incomplete(qemu_img: Make) -> None:
    image = qemu_img("vhdx")
    table, regions = image.index(b"metadata"), 192 << 10
    assert judge(image[:65536]) == ("incomplete", "truncated")
    assert judge(image[:MIB]) == ("incomplete", "truncated")
    assert answer(Format(), image[: table + 100]) == ("incomplete", "truncated")
    for change in ((regions, b"what"), (regions + 8, b"\xff" * 4), (table, b"whatever"), (table + 10, bytes(2))):
        assert judge(patched(image, change)) == ("incomplete", "format-unreadable")


def test_qed_is_not_accepted_even_if_declared(qemu_img: Make) -> None:
    assert judge(qemu_img("qed"), disk_format="qed") == ("reject", "unsafe-banned")


def test_a_version_of_luks_that_cannot_be_checked_is_refused() -> None:
    assert judge(luks(version=2)) == ("reject", "unsafe-version")
    assert judge(luks(payload_sectors=1 << 30)) == ("incomplete", "truncated")


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vpc", "vhdx"])
def test_two_formats_in_one_file_are_refused(qemu_img: Make, kind: str) -> None:
    image = iso(64, first=qemu_img(kind)[:4096])
    assert judge(image) == ("reject", "format-ambiguous")
    assert judge(image, disk_format="iso") == ("reject", "format-ambiguous")


def test_other_things_that_are_two_at_once_are_refused(qemu_img: Make) -> None:
    qcow2 = qemu_img("qcow2")
    assert judge(mbr((0x83, 1, 9), first=patched(qcow2[:440], (104, bytes(8))))) == ("reject", "format-ambiguous")
    assert judge(iso(64, first=vmdk_text(FLAT))) == ("reject", "format-ambiguous")
    assert judge(iso(64, first=luks(size=1024))) == ("reject", "format-ambiguous")
    assert judge(iso(64, first=tar("machine.ovf")[:512])) == ("reject", "format-ambiguous")


def test_an_iso_image_cut_short_is_incomplete() -> None:
    assert judge(iso(64)[:-2048]) == ("incomplete", "truncated")
    assert answer(Format(), iso(64)[:-2048]) == ("incomplete", "truncated")


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx", "vpc", "vdi", "qed"])
@pytest.mark.parametrize("length", [80, 103, 511])
def test_an_image_that_ends_in_its_header_is_never_accepted(qemu_img: Make, kind: str, length: int) -> None:
    image = qemu_img(kind)[:length]
    assert judge(image) == ("incomplete", "truncated")
    assert judge(image, disk_format="raw") == ("reject", "format-mismatch")


def test_of_two_faults_the_same_is_told_however_the_bytes_are_cut(qemu_img: Make) -> None:
    image = qemu_img("vmdk", data=bytes(range(256)) * 8192)
    image = patched(image, (36, struct.pack("<Q", 1 << 40)), (512, b"\xff"))  # descriptor: too long, no text
    for step in (512, 5000, 65536, 70001, len(image)):
        told = answer(Format(), cut(image, range(0, len(image), step)), size=len(image))
        assert told == ("incomplete", "truncated")


# Whatever the bytes, and however they are cut

HANDMADE = [gpt(), mbr((0x83, 9, 9)), iso(), luks(), ploop(99), tar("a.ovf"), vmdk_text(FLAT), bytes(99)]
KINDS = ["qcow2", "vmdk", "vhdx", "vpc", "vdi", "qed"]
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def samples(qemu_img: Make) -> list[bytes]:
    made = [qemu_img(kind) for kind in KINDS]
    made.append(qemu_img("vmdk", "-o", "subformat=streamOptimized"))
    made.append(qemu_img("vpc", "-o", "subformat=fixed,force_size=on", size=MIB))
    footer = patched(made[6], (56, b"\xff" * 8))
    return [*made, footer, *HANDMADE]


def plugins() -> list[Format | Limits]:
    return [Format(), Limits(max_size="1GiB", max_virtual_size="4MiB", formats=["raw", "qcow2"])]


places = st.one_of(
    st.integers(0, 600), st.integers(60_000, 70_000), st.integers(190_000, 300_000), st.integers(0, 4 * MIB)
)


@relaxed
@given(data=st.data(), cuts=st.lists(places, max_size=20), size_known=st.booleans())
def test_the_verdict_does_not_depend_on_how_the_bytes_are_cut(
    qemu_img: Make, data: st.DataObject, cuts: list[int], size_known: bool
) -> None:
    image = data.draw(st.sampled_from(samples(qemu_img)))
    facts = {"size": len(image) if size_known else None}
    for plugin in plugins():
        whole = answer(plugin, [image], **facts)
        assert answer(plugin, cut(image, cuts), **facts) == whole
        assert answer(plugin, cut(image, range(0, len(image), 5000)), **facts) == whole


@relaxed
@given(data=st.data(), keep=st.one_of(st.none(), places), size_known=st.booleans())
def test_a_changed_header_gets_a_verdict_the_same_for_any_cut(
    qemu_img: Make, data: st.DataObject, keep: int | None, size_known: bool
) -> None:
    image = data.draw(st.sampled_from(samples(qemu_img)))
    change = st.tuples(
        st.one_of(st.integers(0, 1024), st.integers(196_608, 196_800), st.integers(2 * MIB, 2 * MIB + 256)),
        st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x80" + b"\0" * 7])),
    )
    changes = [row for row in data.draw(st.lists(change, max_size=6)) if row[0] + len(row[1]) < len(image)]
    hostile = patched(image, *changes)[:keep]
    facts = {"size": len(hostile) if size_known else None}
    for plugin in plugins():
        whole = answer(plugin, [hostile], **facts)
        assert answer(plugin, cut(hostile, range(0, len(hostile), 3000)), **facts) == whole


@relaxed
@given(st.binary(max_size=2000), st.sampled_from([0, 70_000]), st.sampled_from([None, "raw", "qcow2", "iso"]))
def test_any_bytes_get_a_verdict(start: bytes, more: int, declared: str | None) -> None:
    for plugin in plugins():
        answer(plugin, start + bytes(more), disk_format=declared)
