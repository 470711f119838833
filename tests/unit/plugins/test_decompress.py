"""The transform `decompress` on sound images."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import zlib

import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins._byte_reader import ByteReader
from douane.plugins.decompress import Decompress
from douane.plugins.decompress.layers import LAYERS, unpacker
from douane.plugins.decompress.limits import UnpackLimits
from support.images.compression import PACKERS, SKIPPABLE, STREAMS, by_program, raw_deflate, zstd, zstd_checked
from support.plugin_runs import cut, decompress_code, decompressed

DISK = random.Random(4).randbytes(150_000) + bytes(100_000) + b"the end of a disk" * 4000


@pytest.mark.parametrize("name", PACKERS)
def test_each_format_is_unpacked_and_named(name: str) -> None:
    unpacked = decompressed(PACKERS[name](DISK))
    assert (unpacked.code, unpacked.data == DISK, unpacked.warnings) == (None, True, [])
    assert unpacked.properties == {"compression": name, "layers": 1}
    assert unpacked.formats == [(None, "bare")]


@pytest.mark.parametrize("command", ["gzip -1", "gzip -9", "zstd -19", "zstd --long=27", "zstd --no-check"])
def test_output_of_the_compression_programs_is_unpacked(command: str) -> None:
    assert decompressed(by_program(DISK, *command.split(), "-c")).data == DISK


@pytest.mark.parametrize("name", PACKERS)
@given(data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=30))
@settings(max_examples=40, deadline=None)
def test_the_result_is_the_same_for_all_chunk_sizes(name: str, data: bytes, cuts: list[int]) -> None:
    data = b"-" + data  # so that it does not begin like another layer
    packed = PACKERS[name](data)
    assert decompressed(cut(packed, cuts)).data == data


@pytest.mark.parametrize("name", PACKERS)
def test_bytes_may_arrive_one_by_one(name: str) -> None:
    data = DISK[149_000:152_000]
    assert decompressed(bytes([byte]) for byte in PACKERS[name](data)).data == data


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@given(data=st.binary(max_size=2000), repeat=st.integers(1, 50), piece=st.integers(1, 500))
@settings(max_examples=40, deadline=None)
def test_no_piece_exceeds_the_requested_length(layer, data: bytes, repeat: int, piece: int) -> None:
    limits = UnpackLimits(window=1 << 27, members=9, trailing=False, warn=lambda *_: None, piece=piece)
    parts = list(unpacker(layer)(ByteReader([PACKERS[layer.name](data * repeat)]), limits))
    assert b"".join(parts) == data * repeat
    assert max(map(len, parts), default=0) <= piece


@pytest.mark.parametrize("name", STREAMS)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=8), cuts=st.lists(st.integers(0, 2000)))
@settings(max_examples=40, deadline=None)
def test_consecutive_members_are_one_image(name: str, parts: list[bytes], cuts: list[int]) -> None:
    parts = [b"-", *parts]
    packed = b"".join(map(STREAMS[name], parts))
    unpacked = decompressed(cut(packed, cuts))
    assert (unpacked.code, unpacked.data) == (None, b"".join(parts))


@pytest.mark.parametrize("pack", [zstd_checked, lz4.frame.compress], ids=["zstd", "lz4"])
@pytest.mark.parametrize("skipped", [SKIPPABLE, SKIPPABLE * 3, b"\x50\x2a\x4d\x18" + bytes(4)])
def test_skippable_frames_are_skipped_at_every_place(pack, skipped: bytes) -> None:
    for packed in (skipped + pack(DISK), pack(DISK) + skipped, pack(b"") + skipped + pack(DISK)):
        assert decompressed(cut(packed, range(0, 60, 7))).data == DISK


def test_a_long_skippable_frame_is_followed_in_time() -> None:
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<I", 900_000) + bytes(900_000)
    assert decompressed(cut(skipped + zstd_checked(DISK), range(0, 900_000, 64_000))).data == DISK


@pytest.mark.parametrize("padding", [0, 4, 400])
def test_streams_of_xz_may_be_padded_in_words(padding: int) -> None:
    packed = lzma.compress(DISK) + bytes(padding)
    unpacked = decompressed(cut(packed * 2, range(0, len(packed) * 2, 1000)))
    assert (unpacked.data, unpacked.warnings) == (DISK * 2, [])


@pytest.mark.parametrize("check", [lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256])
def test_xz_has_several_kinds_of_checksums(check: int) -> None:
    assert decompressed(lzma.compress(DISK, check=check)).data == DISK


def gzip_header(flags: int) -> bytes:
    """A header with what the flags say is in it: FTEXT, FHCRC, FEXTRA, FNAME, FCOMMENT are 1, 2, 4, 8, 16."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(5) + b"\x03"
    header += struct.pack("<H", 300) + bytes(300) if flags & 4 else b""
    header += b"../../etc/disk.img\0" if flags & 8 else b""
    header += b"a comment\0" if flags & 16 else b""
    return header + (struct.pack("<H", zlib.crc32(header) & 0xFFFF) if flags & 2 else b"")


@pytest.mark.parametrize("flags", range(32))
@pytest.mark.parametrize("step", [1, 7, 5000])
def test_every_gzip_header_is_read_in_chunks_of_any_size(flags: int, step: int) -> None:
    data = b"some data" * 20
    packed = gzip_header(flags) + raw_deflate(data) + struct.pack("<II", zlib.crc32(data), len(data))
    assert decompressed(cut(packed, range(0, len(packed), step))).data == data


@pytest.mark.parametrize("level", range(10))
def test_every_level_of_deflate_is_unpacked(level: int) -> None:
    assert decompressed(gzip.compress(DISK, level)).data == DISK


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress], ids=lambda pack: pack.__module__
)
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x1f",
        b"x",
        bytes(5000),
        b"\x1f\x8b\x09" + bytes(600),
        b"BZh9" + bytes(600),
        SKIPPABLE + bytes(600),
    ],
)
def test_an_image_that_is_not_compressed_passes_unchanged(pack, raw: bytes) -> None:
    unpacked = decompressed(raw)
    assert (unpacked.is_unchanged, unpacked.data, unpacked.formats) == (True, b"", [])
    assert decompressed(pack(raw)).data == raw  # and is no second layer either


def test_only_the_beginning_of_an_uncompressed_image_is_read() -> None:
    unpacked = decompressed([DISK] * 50)
    assert unpacked.is_unchanged
    assert unpacked.source.given_bytes == len(DISK)


@given(st.binary(max_size=200))
def test_random_bytes_pass_unchanged_or_are_refused(data: bytes) -> None:
    unpacked = decompressed(data)
    assert unpacked.is_unchanged or unpacked.code is not None


def test_the_name_and_the_declared_format_are_ignored() -> None:
    facts = {"name": "disk.xz", "disk_format": "qcow2", "container_format": "bare"}
    assert decompressed(gzip.compress(DISK), facts).data == DISK
    assert decompressed(DISK, facts).is_unchanged


@pytest.mark.parametrize(
    ("declared", "name", "becomes"),
    [
        ("compressed", "box.ovf", "ova"),
        (None, "box.ovf", "ova"),
        ("docker", "layer.json", "docker"),
        ("compressed", "file", "bare"),
    ],
)
def test_a_compressed_archive_becomes_the_container_format_of_its_content(
    declared: str | None, name: str, becomes: str
) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert decompressed(gzip.compress(file.getvalue()), {"container_format": declared}).formats == [(None, becomes)]


def test_a_second_layer_is_refused_before_the_first_byte_of_output() -> None:
    unpacked = decompressed(gzip.compress(lzma.compress(DISK)))
    assert (unpacked.code, unpacked.data) == ("compressed-again", b"")
    assert "gzip, xz" in unpacked.message


def test_a_second_layer_passes_as_compressed_if_the_operator_allows_it() -> None:
    inner = lzma.compress(DISK)
    unpacked = decompressed(gzip.compress(inner), deeper="pass")
    assert (unpacked.data, unpacked.warnings) == (inner, ["compressed-again"])
    assert unpacked.formats == [(None, "compressed")]


@pytest.mark.parametrize("inner", PACKERS)
@pytest.mark.parametrize("outer", PACKERS)
def test_two_layers_are_removed_if_the_operator_allows_it(inner: str, outer: str) -> None:
    packed = PACKERS[outer](PACKERS[inner](DISK))
    unpacked = decompressed(cut(packed, range(0, len(packed), 9999)), depth=2)
    assert (unpacked.code, unpacked.data == DISK) == (None, True)
    assert unpacked.properties == {"compression": f"{outer},{inner}", "layers": 2}
    assert decompress_code(gzip.compress(packed), depth=2) == "compressed-again"


@pytest.mark.parametrize(
    "config",
    [{"depth": 0}, {"depth": 9}, {"deeper": "no"}, {"trailing": "ignore"}, {"max_window": "much"}, {"max_members": 0}],
)
def test_a_configuration_error_names_the_key(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(config))}'"):
        Decompress(**config)  # type: ignore[arg-type]  # what an operator may write
