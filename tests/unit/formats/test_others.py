"""Kernels, RAM disks, text, and images of other systems: each is named, and external files are found."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.formats.match import Match
from support.examination import assert_cuts_agree, codes, examine, fields, names
from support.images.partitions import mbr_entry


def single_match(image: bytes) -> Match:
    """The only match of an image, the same whether or not its size is known before."""
    (match,) = examine(image).matches
    (second,) = examine(image, size_known=False, cut=10_000).matches
    assert (match.name, match.virtual_size) == (second.name, second.virtual_size)
    return match


def bz_image() -> bytes:
    head = bytearray(100_000)
    head[:2] = b"MZ"
    head[446:462] = mbr_entry(0x83, 1, 1)  # code, that could be a partition
    head[0x1F1] = 27
    struct.pack_into("<I", head, 0x1F4, 5000)
    head[510:512] = b"\x55\xaa"
    head[0x202:0x208] = b"HdrS\x0f\x02"
    return bytes(head)


def test_x86_kernel_is_not_mbr() -> None:
    match = single_match(bz_image())
    assert (match.name, match.variant, match.disk_format, match.kind) == ("kernel", "bzImage", "aki", "content")
    assert fields(match)["boot protocol"] == "2.15"
    assert match.virtual_size == 100_000


@pytest.mark.parametrize(
    ("image", "variant"),
    [
        (bytes(56) + b"ARM\x64" + bytes(4000), "ARM64"),
        (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0" + bytes(4000), "ELF"),
        (b"\x7fELF\2\2\1" + bytes(9) + b"\0\2\0\x15" + bytes(4000), "ELF"),
    ],
)
def test_other_kernels_are_named(image: bytes, variant: str) -> None:
    match = single_match(image)
    assert (match.name, match.variant) == ("kernel", variant)


@pytest.mark.parametrize("image", [b"\x7fELF\2\1\1" + bytes(9) + b"\1\0" + bytes(4000), b"\x7fELF", b"HdrS" * 200])
def test_similar_bytes_are_not_a_kernel(image: bytes) -> None:
    assert "kernel" not in names(examine(image))


def test_ram_disk_is_named() -> None:
    header = b"070701" + b"%08X" % 0 * 11 + b"%08X" % 11 + b"%08X" % 0
    match = single_match(header + b"TRAILER!!!\0" + bytes(400))
    assert (match.name, match.disk_format) == ("initramfs", "ari")
    assert names(examine(b"070701 is a number in this text, and nothing more than that" * 3)) == ["text"]


@pytest.mark.parametrize("text", ["plain\r\n\ttext\n", "Zöllner " * 10_000, "a" * ((72 << 10) - 1) + "é"])
def test_text_is_a_raw_image(text: str) -> None:
    match = single_match(text.encode())
    assert (match.name, match.disk_format, match.virtual_size) == ("text", "raw", len(text.encode()))


@pytest.mark.parametrize("image", [b"", b"abc", b"some\0text", b"caf\xe9 " * 100, b"text\x1b[0m" * 10])
def test_other_bytes_are_not_text(image: bytes) -> None:
    assert names(examine(image)) == []


def dmg(**changes: int) -> bytes:
    """A dmg of 64 KiB of data, 4 KiB of property list, and a trailer."""
    koly = bytearray(512)
    koly[:12] = b"koly\0\0\0\4\0\0\2\0"
    values = {"data": 65536, "list": 4096, "sectors": 1000, "segments": 1, **changes}
    struct.pack_into(">QQ", koly, 24, 0, values["data"])
    struct.pack_into(">I", koly, 60, values["segments"])
    struct.pack_into(">QQ", koly, 216, 65536, values["list"])
    struct.pack_into(">Q", koly, 492, values["sectors"])
    return bytes(65536 + 4096) + bytes(koly)


def test_dmg_is_recognised_at_the_end() -> None:
    match = single_match(dmg())
    assert (match.name, match.at, match.kind, match.virtual_size) == ("dmg", "end", "disk", 512_000)
    assert not examine(dmg()).findings


def test_dmg_trailer_is_found_where_qemu_finds_it() -> None:
    assert single_match(dmg() + bytes(511)).virtual_size == 512_000
    assert names(examine(dmg() + bytes(512))) == []


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (dmg(data=1 << 40), "outside-file"),
        (dmg(list=5 << 10), "outside-file"),
        (dmg(list=0), "header"),
        (dmg(segments=2), "external-extent"),
        (dmg(sectors=1 << 60), "virtual-size"),
        (dmg()[:-100], "truncated"),
    ],
)
def test_impossible_dmg_is_found(image: bytes, code: str) -> None:
    assert names(examine(image)) == ["dmg"]
    assert codes(examine(image)) == {code}


def section(kind: bytes, following: int, body: bytes = b"") -> bytes:
    return kind.ljust(16, b"\0") + struct.pack("<QQ", following, 76 + len(body)) + bytes(44) + body


def ewf(segment: int = 1, last: bytes = b"done") -> bytes:
    """An EWF with a volume of 1000 sectors, and a section to end with."""
    volume = section(b"volume", 13 + 76 + 94, struct.pack("<IIIIQ", 1, 10, 64, 512, 1000).ljust(94, b"\0"))
    end = 13 + 76 + 94
    return b"EVF\x09\x0d\x0a\xff\x00\x01" + struct.pack("<H", segment) + b"\0\0" + volume + section(last, end)


def test_ewf_has_its_size() -> None:
    match = single_match(ewf())
    assert (match.name, match.variant, match.virtual_size) == ("ewf", "EWF", 512_000)
    assert not examine(ewf()).findings


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (ewf(segment=2), "external-extent"),
        (ewf(last=b"next"), "external-extent"),
        (ewf(last=b"hash"), "header"),
        (ewf()[:-10], "truncated"),
    ],
)
def test_incomplete_ewf_is_found(image: bytes, code: str) -> None:
    assert names(examine(image)) == ["ewf"]
    assert codes(examine(image)) == {code}


@pytest.mark.parametrize("signature", [b"EVF2\x0d\x0a\x81\x00", b"LVF\x09\x0d\x0a\xff\x00", b"LEF2\x0d\x0a\x81\x00"])
def test_other_kinds_of_ewf_are_named(signature: bytes) -> None:
    assert names(examine(signature + bytes(1000))) == ["ewf"]


PARALLELS = b"""<?xml version='1.0'?>
<Parallels_disk_image Version="1.0"><Disk_Parameters><Disk_size>2048</Disk_size></Disk_Parameters>
<StorageData><Storage><Image><Type>Compressed</Type><File>/etc/passwd</File></Image></Storage></StorageData>
</Parallels_disk_image>"""


def test_parallels_description_names_its_file() -> None:
    examination = examine(PARALLELS)
    (match,) = examination.matches
    assert (match.name, match.disk_format, match.virtual_size) == ("parallels-xml", "parallels", 1 << 20)
    (finding,) = examination.findings
    assert finding.code == "external-extent"
    assert "/etc/passwd" in finding.detail


@pytest.mark.parametrize("size", [b"", b"x" * 5000, b"9" * 100])
def test_invalid_size_is_no_virtual_size(size: bytes) -> None:
    assert single_match(PARALLELS.replace(b"2048", size)).virtual_size is None


@pytest.mark.parametrize(
    ("footer", "variant"), [(b"NER5" + (900).to_bytes(8, "big"), "NER5"), (b"NERO" + (900).to_bytes(4, "big"), "NERO")]
)
def test_nrg_is_recognised_at_the_end(footer: bytes, variant: str) -> None:
    image = bytes(1000) + footer
    match = single_match(image)
    assert (match.name, match.variant, match.disk_format, match.kind) == ("nrg", variant, "raw", "other")
    assert match.virtual_size == len(image)
    assert names(examine(bytes(1000) + footer[:4] + b"\xff" * (len(footer) - 4))) == []


@given(st.data())
def test_changed_images_do_not_fail_the_readers(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from([dmg(), ewf(), PARALLELS, bz_image()])))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.one_of(st.integers(0, 300), st.integers(len(image) - 512, len(image) - 1)))
        image[max(0, min(at, len(image) - 1))] = data.draw(st.integers(0, 255))
    image = image[: data.draw(st.sampled_from([len(image), data.draw(st.integers(0, len(image)))]))]
    assert_cuts_agree(bytes(image), cut=data.draw(st.integers(50, 1 << 16)))
