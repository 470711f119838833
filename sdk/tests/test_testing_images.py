"""The small images for tests, checked down to their checksums."""

from __future__ import annotations

import gzip
import struct
import zlib

import pytest

from douane_plugin.testing import KINDS, image_bytes
from douane_plugin.testing.images import write_image


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_and_bytes_are_the_same_image(kind, tmp_path):
    write_image(tmp_path / "image", kind)
    assert (tmp_path / "image").read_bytes() == image_bytes(kind)


@pytest.mark.parametrize("kind", ["raw", "mbr", "gpt"])
def test_a_disk_has_the_given_size(kind):
    assert len(image_bytes(kind, 3 << 20)) == 3 << 20


@pytest.mark.parametrize("kind", ["raw", "mbr", "gpt", "qcow2"])
def test_a_large_image_takes_no_room(kind, tmp_path):
    write_image(tmp_path / "image", kind, 1 << 40, **({} if kind == "qcow2" else {"data": {1 << 39: b"far"}}))
    assert (tmp_path / "image").stat().st_blocks * 512 < 1 << 20


def test_data_is_written_at_its_offset():
    assert image_bytes("raw", 16, data=b"abc") == b"abc".ljust(16, b"\0")
    assert image_bytes("raw", 16, data={3: b"abc", 9: b"d"}) == b"\0\0\0abc\0\0\0d".ljust(16, b"\0")
    assert image_bytes("mbr", data=b"abc")[1 << 20 :][:4] == b"abc\0"
    assert (
        gzip.decompress(image_bytes("gzip", 3 << 20, data={(1 << 20) - 1: b"abc"}))[(1 << 20) - 2 :][:5] == b"\0abc\0"
    )


def test_an_mbr_lists_one_partition():
    disk = image_bytes("mbr", 4 << 20)
    kind, first, count = struct.unpack_from("<4xB3xII", disk, 446)
    assert (kind, first * 512, (first + count) * 512, disk[510:512]) == (0x83, 1 << 20, 4 << 20, b"\x55\xaa")


@pytest.mark.parametrize("at", [1, -1])
def test_both_headers_of_a_gpt_have_their_checksums(at):
    disk = image_bytes("gpt", 4 << 20)
    sectors = len(disk) // 512
    header = disk[at * 512 :][:92]
    signature, length, checksum, mine, alternate, table, count, size, entries = struct.unpack_from(
        "<8s4xII4xQQ16x16xQIII", header
    )
    assert (signature, length, mine, alternate) == (b"EFI PART", 92, at % sectors, -at % sectors)
    assert zlib.crc32(header[:16] + bytes(4) + header[20:]) == checksum
    assert zlib.crc32(disk[table * 512 :][: count * size]) == entries


def test_a_qcow2_has_a_virtual_size_and_may_have_a_backing_file():
    image = image_bytes("qcow2", 5 << 30, backing="/etc/hosts")
    magic, version, at, length, bits, size = struct.unpack_from(">4sIQIIQ", image)
    assert (magic, version, bits, size) == (b"QFI\xfb", 3, 16, 5 << 30)
    assert image[at : at + length] == b"/etc/hosts"
    assert struct.unpack_from(">QI", image_bytes("qcow2"), 8) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "keywords", "text"),
    [
        (("vhs",), {}, "raw, mbr, gpt"),
        (("raw", -1), {}, "0 or more"),
        (("raw", "1G"), {}, "number of bytes"),
        (("gpt", 1 << 20), {}, "more than 1 MiB"),
        (("mbr", (2 << 20) + 1), {}, "whole sectors"),
        (("raw", 3), {"data": b"four"}, "do not fit"),
        (("qcow2",), {"data": b"x"}, "disk of a qcow2 is empty"),
        (("raw",), {"backing": "x"}, "only a qcow2"),
        (("qcow2", 1 << 50), {}, "4 TiB"),
        (("qcow2",), {"backing": "x" * 1024}, "1023"),
    ],
)
def test_invalid_arguments_are_refused(arguments, keywords, text):
    with pytest.raises(ValueError, match=text):
        image_bytes(*arguments, **keywords)
