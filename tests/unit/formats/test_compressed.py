"""Compressed images: the output of real tools is recognised, and the claims of headers are judged."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats.examination import Examination
from douane.plugins.formats.lz4 import xxh32
from support.examination import codes, examine, names, refused, summary

MiB = 1 << 20
DATA = bytes(range(256)) * 2000


def zstd(*options: str, data: bytes = DATA) -> bytes:
    """Compress `data` with zstd(1)."""
    return subprocess.run(["zstd", "-qc", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


def skippable(length: int) -> bytes:
    return b"\x53\x2a\x4d\x18" + struct.pack("<I", length) + bytes(length)


def lz4(flags: int = 0x60, block: int = 0x40, fields: bytes = b"", rest: bytes = bytes(4)) -> bytes:
    descriptor = bytes((flags, block)) + fields
    return b"\x04\x22\x4d\x18" + descriptor + bytes((xxh32(descriptor) >> 8 & 0xFF,)) + rest


def field(examination: Examination, name: str) -> object:
    return next((one.value for one in examination.matches[0].fields if one.name == name), None)


REAL = {
    "gzip": gzip.compress(DATA),
    "xz": lzma.compress(DATA),
    "bzip2": bz2.compress(DATA),
    "lzma": lzma.compress(DATA, format=lzma.FORMAT_ALONE),
    "zstd": zstd(),
    "lz4": lz4(),
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("cut", [7, MiB])
def test_output_of_tools_is_recognised_without_findings(name: str, cut: int) -> None:
    examination = examine(REAL[name], cut=cut)
    assert names(examination) == [name]
    assert codes(examination) == set()
    match = examination.matches[0]
    assert (match.kind, match.disk_format, match.virtual_size) == ("compressed", "raw", None)


@pytest.mark.parametrize("name", REAL)
def test_truncated_header_is_refused(name: str) -> None:
    examination = examine(REAL[name][: 5 if name in ("zstd", "lz4") else 10])
    assert name not in names(examination) if name == "lzma" else refused(examination) == {"truncated"}


@pytest.mark.parametrize(
    "head",
    [
        b"\x1f\x8b\x07\0",
        b"\x1f\x8b\x08\xe0",
        b"\xfd7zXZ\1",
        b"BZh0",
        b"BZh9" + bytes(6),
        b"BZhello, this is a text",
        b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\1",
        b"\x5d\0\0\x81\0" + b"\xff" * 8 + bytes(9),
        b"\x5d\0\0\x80\0" + b"\0\0\0\0\0\1\0\0" + bytes(9),
        b"\xe1\0\0\x80\0" + b"\xff" * 8 + bytes(9),
        b"\x2c\0\0\x80\0" + b"\xff" * 8 + bytes(9),
        bytes(4096),
        b"\x28\xb5\x2f\xfc",
        b"\x04\x22\x4d\x19",
    ],
)
def test_similar_bytes_are_not_compressed_data(head: bytes) -> None:
    assert not any(match.kind == "compressed" for match in examine(head.ljust(4096, b"\0")).matches)


# gzip


def test_all_parts_of_a_gzip_header_are_read() -> None:
    body = gzip.compress(DATA)[10:]
    header = b"\x1f\x8b\x08\x1e" + bytes(6) + b"\4\0abcd" + b"disk.raw\0" + b"a comment\0"
    crc = struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    examination = examine(header + crc + body)
    assert codes(examination) == set()
    assert field(examination, "file name") == "'disk.raw'"
    assert field(examination, "length modulo 2^32") == len(DATA)
    assert refused(header + b"\0\0" + body) == {"checksum"}
    assert refused(header[:-1] + b"x" * 5000) == {"header"}
    assert refused(header[:-1]) == {"truncated"}


def test_several_gzip_members_pass_and_an_undefined_block_type_is_refused() -> None:
    assert codes(examine(gzip.compress(DATA) + gzip.compress(DATA))) == set()
    assert refused(b"\x1f\x8b\x08\0" + bytes(6) + b"\7" + bytes(20)) == {"header"}
    assert refused(gzip.compress(b"")[:-8]) == {"truncated"}


# xz


def xz_filters(window: int) -> bytes:
    return lzma.compress(DATA, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": window}])


def test_xz_window_is_noted_and_a_large_window_is_a_finding() -> None:
    assert field(examine(xz_filters(MiB)), "window") == MiB
    assert field(examine(xz_filters(3 * MiB)), "window") == 3 * MiB
    assert codes(examine(xz_filters(128 * MiB))) == set()
    header = bytearray(xz_filters(MiB))
    at = header.index(b"\x21\x01", 12) + 2
    header[at] = 37  # 1.5 GiB
    end = 12 + (header[12] + 1) * 4
    header[end - 4 : end] = struct.pack("<I", zlib.crc32(header[12 : end - 4]))
    examination = examine(bytes(header))
    assert codes(examination) == {"big-window"}
    assert field(examination, "window") == 3 << 29


def test_window_of_a_later_xz_block_counts() -> None:
    def xz(*options: str) -> bytes:
        words = ["xz", "-c", "-T2", "--block-size=100000", *options]
        return subprocess.run(words, input=DATA, stdout=subprocess.PIPE, check=True).stdout

    image = bytearray(xz())
    examination = examine(bytes(image))
    assert codes(examination) == set()
    assert (field(examination, "blocks"), field(examination, "uncompressed size")) == (6, len(DATA))
    first = bytes(image[12 : 12 + (image[12] + 1) * 4])
    at = image.index(first[:2], 13)
    while image[at + 2 :].find(b"\x21\x01") > 20:
        at = image.index(first[:2], at + 1)
    end = at + (image[at] + 1) * 4
    where = image.index(b"\x21\x01", at) + 2
    assert where < end
    image[where] = 39
    image[end - 4 : end] = struct.pack("<I", zlib.crc32(image[at : end - 4]))
    assert codes(examine(bytes(image))) == {"big-window"}


def test_small_xz_blocks_after_the_first_megabyte_are_read() -> None:
    words = ["xz", "-c", "-0", "-T2", "--block-size=256"]
    data = random.Random(1).randbytes(960_000)
    image = subprocess.run(words, input=data, stdout=subprocess.PIPE, check=True).stdout
    assert len(image) > MiB
    assert codes(examine(image)) == set()


@pytest.mark.parametrize("cut", [1, 4, 12, 13, 1000])
def test_truncated_xz_is_refused(cut: int) -> None:
    image = lzma.compress(DATA * 3, preset=0, filters=None)
    assert refused(image[:-cut]) == {"truncated"} if cut < len(image) - 32 else refused(image[:40])


def test_contradictory_xz_footer_is_refused() -> None:
    image = lzma.compress(DATA)
    assert codes(examine(image + bytes(8))) == set()
    assert field(examine(image + image), "streams") == "more than one"
    assert refused(image + bytes(3)) == {"header"}
    assert refused(image[:-8] + b"\xff" + image[-7:]) == {"checksum"}
    assert refused(image[:-20] + b"\xff" + image[-19:]) == {"header"}
    assert refused(image[:100] + image[-40:]) == {"outside-file"}
    assert refused(image[:8] + b"\0" + image[9:]) == {"checksum"}
    backward = struct.pack("<I", 1 << 30) + image[-4:-2]
    assert refused(image[:-12] + struct.pack("<I", zlib.crc32(backward)) + backward + b"YZ") == {"outside-file"}


# zstd, lz4, lzma


@pytest.mark.parametrize("options", [["-1"], ["-19"], ["--no-check"], ["--long=27"], ["--format=zstd", "-5"]])
def test_zstd_output_of_the_tool_passes(options: list[str]) -> None:
    assert codes(examine(zstd(*options))) == set()


def test_zstd_window_is_noted() -> None:
    def frame(window: int) -> bytes:
        return b"\x28\xb5\x2f\xfd\0" + bytes((window,)) + b"\1\0\0"

    assert field(examine(frame(0)), "window") == 1024
    assert codes(examine(frame((27 - 10) << 3))) == set()
    assert codes(examine(frame((27 - 10) << 3 | 1))) == {"big-window"}
    assert codes(examine(frame(0xFF))) == {"big-window"}
    single = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 40) + b"\1\0\0"
    assert codes(examine(single)) == {"big-window"}
    assert field(examine(single), "uncompressed size") == 1 << 40


def test_zstd_that_needs_more_than_its_own_bytes_is_refused() -> None:
    assert refused(b"\x28\xb5\x2f\xfd\x01\0\x07\1\0\0") == {"unknown-feature"}
    assert refused(b"\x28\xb5\x2f\xfd\x08\0\1\0\0") == {"unknown-feature"}
    assert refused(b"\x25\xb5\x2f\xfd" + bytes(20)) == {"version"}


def test_skippable_frames_are_skipped() -> None:
    for length in (0, 4, 70_000, 2 * MiB):
        assert names(examine(skippable(length) + REAL["zstd"])) == ["zstd"]
        assert codes(examine(skippable(length) + REAL["zstd"])) == set()
        assert names(examine(skippable(length) + skippable(0) + REAL["lz4"])) == ["lz4"]
    assert refused(skippable(100_000) + b"something else") == {"header"}
    assert refused(skippable(8)) == {"truncated"}
    assert "zstd" not in names(examine(skippable(8) + b"something else"))


def test_lz4_frames_are_checked() -> None:
    assert field(examine(lz4(block=0x70)), "window") == 4 * MiB
    assert field(examine(lz4(0x68, fields=struct.pack("<Q", 1 << 33))), "uncompressed size") == 1 << 33
    assert refused(lz4(0x61, fields=struct.pack("<I", 7))) == {"unknown-feature"}
    assert refused(lz4(0xA0)) == {"version"}
    assert refused(lz4(0x62)) == {"unknown-feature"}
    assert refused(lz4(block=0x30)) == {"unknown-feature"}
    changed = bytearray(lz4())
    changed[6] ^= 1
    assert refused(bytes(changed)) == {"checksum"}
    legacy = examine(b"\x02\x21\x4c\x18" + bytes(20))
    assert (names(legacy), legacy.matches[0].variant, codes(legacy)) == (["lz4"], "legacy", set())


@pytest.mark.parametrize(
    ("data", "digest"),
    [(b"", 0x02CC5D05), (b"a", 0x550D7456), (b"abc", 0x32D153FF), (b"message digest", 0x7C948494)],
)
def test_xxh32_agrees_with_its_specification(data: bytes, digest: int) -> None:
    assert xxh32(data) == digest


def test_lzma_window_is_noted() -> None:
    header = b"\x5d" + struct.pack("<I", 0xFFFFFFFF) + b"\xff" * 8 + bytes(20)
    assert codes(examine(header)) == {"big-window"}
    sized = REAL["lzma"][:5] + struct.pack("<Q", len(DATA)) + REAL["lzma"][13:]
    assert field(examine(sized), "uncompressed size") == len(DATA)


@pytest.mark.parametrize(
    "sector",
    [
        b"\xeb\x58\x90mkfs.fat",
        b"\xfa\xb8\0\x10\x8e\xd0\xbc\0\xb0\xb8\0\0\x8e\xd8\x8e\xc0",
        b"\x33\xc0\x8e\xd0\xbc\0\x7c\xfb\x50\x07\x50\x1f\xfc\xbe\x1b\x7c",
        b"\xeb\x63\x90\x10\x8e\xd0\xbc\0\xb0\xb8\0\0\x8e\xd8\x8e\xc0",
    ],
)
def test_boot_sectors_are_not_compressed(sector: bytes) -> None:
    image = sector.ljust(510, b"\0") + b"\x55\xaa" + bytes(9999)
    assert not any(match.kind == "compressed" for match in examine(image).matches)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_mutants_do_not_fail_and_do_not_depend_on_chunks(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from([*REAL.values(), skippable(5) + REAL["lz4"]])))
    for _ in range(data.draw(st.integers(0, 4))):
        places = st.one_of(
            st.integers(0, min(40, len(image) - 1)), st.integers(max(0, len(image) - 40), len(image) - 1)
        )
        image[data.draw(places)] = data.draw(st.integers(0, 255))
    cut = bytes(image[: data.draw(st.integers(0, len(image)))]) if data.draw(st.booleans()) else bytes(image)
    examination = examine(cut)
    assert "reader-failed" not in codes(examination)
    assert summary(examination) == summary(examine(cut, cut=data.draw(st.integers(1, 99)), size_known=False))
