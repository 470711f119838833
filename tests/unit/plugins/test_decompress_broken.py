"""The transform `decompress` on images that are truncated, damaged, followed by other bytes, or unsupported."""

from __future__ import annotations

import gzip
import lzma
import random
import struct
import tracemalloc
import zlib

import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins._byte_reader import ByteReader
from support.images.compression import (
    PACKERS,
    SKIPPABLE,
    STREAMS,
    by_program,
    lz4_full,
    lzma_with_dictionary,
    raw_deflate,
    xz_with_dictionary,
    zstd,
    zstd_checked,
    zstd_with_window,
)
from support.plugin_runs import cut, decompress_code, decompressed

SMALL = b"the beginning, " + random.Random(4).randbytes(150) + bytes(400) + b", the end"
WITH_CHECKSUMS = [name for name in PACKERS if name != "lzma"]


@pytest.mark.parametrize("name", PACKERS)
def test_every_truncation_is_refused_or_passes_unchanged(name: str) -> None:
    packed = PACKERS[name](SMALL)
    for length in range(len(packed)):
        unpacked = decompressed(packed[:length])
        assert unpacked.code == "compressed-truncated" or unpacked.is_unchanged, length
        assert not unpacked.is_unchanged or length < 18
        assert SMALL.startswith(unpacked.data)


@pytest.mark.parametrize("name", STREAMS)
def test_a_truncated_second_member_is_refused(name: str) -> None:
    packed = STREAMS[name](SMALL)
    for length in range(len(packed) + 1, 2 * len(packed)):
        assert decompress_code((packed * 2)[:length]) in ("compressed-truncated", "compressed-trailing-data"), length


@pytest.mark.parametrize("name", WITH_CHECKSUMS)
def test_no_changed_byte_makes_another_image(name: str) -> None:
    packed = PACKERS[name](SMALL)
    for at in range(len(packed)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(packed)
            changed[at] ^= change
            unpacked = decompressed(bytes(changed))
            # A name, a time or a flag that nobody needs may change; what is refused has a code and a sentence.
            assert unpacked.is_unchanged or unpacked.code is not None or unpacked.data == SMALL, (at, change)


@pytest.mark.parametrize("name", PACKERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_are_refused_without_a_failure(name: str, data: st.DataObject) -> None:
    packed = bytearray(PACKERS[name](SMALL))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(packed) - 1), st.integers(0, 255)), max_size=9)):
        packed[at] = byte
    decompressed(cut(bytes(packed), data.draw(st.lists(st.integers(0, 900), max_size=9))))


@pytest.mark.parametrize("name", ["gzip", "zstd", "lz4", "zip"])
def test_a_wrong_checksum_has_a_code_of_its_own(name: str) -> None:
    packed = bytearray(PACKERS[name](SMALL))
    at = {"gzip": -8, "zstd": -4, "lz4": -4, "zip": 14}[name]
    packed[at] ^= 1
    assert decompress_code(bytes(packed)) == "compressed-checksum"


def test_a_wrong_length_in_gzip_is_refused() -> None:
    packed = raw_deflate(SMALL) + struct.pack("<II", zlib.crc32(SMALL), len(SMALL) + 1)
    assert decompress_code(b"\x1f\x8b\x08" + bytes(6) + b"\x03" + packed) == "compressed-checksum"


def test_a_wrong_checksum_of_a_gzip_header_is_refused() -> None:
    assert (
        decompress_code(b"\x1f\x8b\x08\x02" + bytes(5) + b"\x03\xab\xcd" + raw_deflate(SMALL)) == "compressed-checksum"
    )


def test_an_endless_name_in_a_gzip_header_is_refused_early() -> None:
    header = b"\x1f\x8b\x08\x08" + bytes(5) + b"\x03"
    unpacked = decompressed([header, *[b"n" * 60_000] * 50])
    assert unpacked.code == "compressed-damaged"
    assert unpacked.source.given_bytes < 200_000


@pytest.mark.parametrize("flags", [0x20, 0x40, 0x80])
def test_a_second_member_of_gzip_with_reserved_flags_is_refused(flags: int) -> None:
    second = bytearray(gzip.compress(SMALL))
    second[3] = flags
    assert decompress_code(gzip.compress(SMALL) + second) == "compressed-damaged"


@pytest.mark.parametrize("name", [*STREAMS, "lzma"])
@pytest.mark.parametrize("garbage", [b"x", b"QFI\xfb" + bytes(600), bytes(700) + b"x", b"\x1f\x9d", b"PK\x03\x04"])
def test_bytes_after_the_end_are_refused_or_give_a_warning(name: str, garbage: bytes) -> None:
    packed = PACKERS[name](SMALL) + garbage
    for chunks in ([packed], cut(packed, range(0, len(packed), 11))):
        assert decompressed(chunks).code == "compressed-trailing-data"
        unpacked = decompressed(chunks, trailing="warn")
        assert (unpacked.code, unpacked.data, unpacked.warnings) == (None, SMALL, ["compressed-trailing-data"])


@pytest.mark.parametrize("name", [*STREAMS, "lzma"])
@pytest.mark.parametrize("zeros", [1, 3, 511, 3_000_001])
def test_zeros_after_the_end_give_a_warning(name: str, zeros: int) -> None:
    unpacked = decompressed(PACKERS[name](SMALL) + bytes(zeros))
    assert (unpacked.code, unpacked.data, unpacked.warnings) == (None, SMALL, ["compressed-padding"])


def test_a_stream_after_misaligned_xz_padding_is_refused() -> None:
    packed = lzma.compress(SMALL)
    assert decompress_code(packed + bytes(3) + packed) == "compressed-trailing-data"


def test_members_are_counted_in_all_layers() -> None:
    assert decompress_code(gzip.compress(SMALL) * 10, max_members=10) is None
    assert decompress_code(gzip.compress(SMALL) * 11, max_members=10) == "compressed-members"
    assert decompress_code((SKIPPABLE + zstd_checked(SMALL)) * 6, max_members=11) == "compressed-members"
    two = gzip.compress(b"".join(zstd_checked(SMALL) for _ in range(6))) * 6
    assert decompress_code(two, max_members=11, depth=2) == "compressed-members"


def test_many_tiny_members_are_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = []
    put_back = ByteReader.put_back

    def count(source: ByteReader, data: bytes) -> None:
        copied.append(len(data))
        put_back(source, data)

    monkeypatch.setattr(ByteReader, "put_back", count)
    packed = gzip.compress(b"", mtime=0) * 10_000 + gzip.compress(SMALL)
    assert decompressed(packed).data == SMALL
    assert sum(copied) < 100 * len(packed)


def memory_of(packed: bytes, **config: object) -> tuple[str | None, int]:
    """The code, and the most memory that Python's allocator was asked for, without the image itself."""
    chunks = cut(packed, range(0, len(packed), 1 << 16))
    tracemalloc.start()
    try:
        code = decompress_code(chunks, **config)
        return code, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "packed",
    [xz_with_dictionary(SMALL, 1 << 27), zstd_with_window(SMALL, 1 << 27), lzma_with_dictionary(SMALL, 1 << 27)],
)
def test_a_window_of_128_mib_is_allowed(packed: bytes) -> None:
    assert decompressed(packed).data == SMALL


@pytest.mark.parametrize(
    "packed",
    [
        xz_with_dictionary(SMALL, 1 << 28),
        xz_with_dictionary(SMALL, 1 << 31),
        zstd_with_window(SMALL, 1 << 28),
        zstd_with_window(SMALL, 1 << 31),
        lzma_with_dictionary(SMALL, (1 << 27) + (1 << 26)),
        lzma_with_dictionary(SMALL, 0xFFFFFFFF),
    ],
)
def test_a_larger_window_is_refused_before_it_is_allocated(packed: bytes) -> None:
    code, memory = memory_of(packed)
    assert code == "compressed-window"
    assert memory < 16 << 20
    assert decompressed(packed).data == b""


def test_an_operator_may_set_another_window() -> None:
    assert decompress_code(xz_with_dictionary(SMALL, 1 << 28), max_window="256MiB") is None
    assert decompress_code(xz_with_dictionary(SMALL, 1 << 20), max_window=700 << 10) == "compressed-window"
    assert decompress_code(zstd_with_window(SMALL, 1 << 28), max_window="256MiB") is None
    assert decompress_code(zstd_with_window(SMALL, 1 << 20), max_window=1000 << 10) == "compressed-window"
    assert decompress_code(lz4.frame.compress(bytes(5 << 20), block_size=7), max_window=1 << 20) == "compressed-window"


@pytest.mark.parametrize("piece", ["gzip", "xz", "zstd", "bzip2", "lz4", "lzma", "zip"])
def test_a_bomb_is_unpacked_in_small_pieces(piece: str) -> None:
    packed = PACKERS[piece](bytes(10 << 20))
    unpacked = decompressed([packed])
    assert len(unpacked.data) == 10 << 20
    assert unpacked.longest <= (1 << 20) + (64 << 10)


def test_unsupported_features_are_refused_with_the_reason() -> None:
    legacy = b"\x02\x21\x4c\x18" + struct.pack("<I", len(SMALL) + 3) + b"\xf0\xff" + SMALL
    assert "legacy frame" in decompressed(legacy).message
    dictionary = bytearray(lz4_full(SMALL))
    dictionary[4] |= 1
    assert "dictionary" in decompressed(bytes(dictionary)).message
    trained = zstd.train_dict([b"%d some samples to train it with %d" % (n, n * n) for n in range(2000)], 2000)
    assert "dictionary" in decompressed(zstd.compress(SMALL, zstd_dict=trained)).message
    assert "before version 1" in decompressed(b"\x27\xb5\x2f\xfd" + bytes(600)).message
    for packed in (legacy, bytes(dictionary), zstd.compress(SMALL, zstd_dict=trained)):
        assert decompress_code(packed) == "compressed-unsupported"


def test_a_checksum_kind_unknown_to_liblzma_is_refused() -> None:
    packed = bytearray(lzma.compress(SMALL, check=lzma.CHECK_CRC32))
    for start in (6, len(packed) - 4):  # stream flags, in the header and in the footer: 2 has 4 bytes as CRC32 has
        packed[start + 1] = 2
    packed[8:12] = struct.pack("<I", zlib.crc32(packed[6:8]))
    packed[-12:-8] = struct.pack("<I", zlib.crc32(packed[-8:-2]))
    assert decompress_code(bytes(packed)) == "compressed-unsupported"


def test_an_endless_skippable_frame_is_refused_early() -> None:
    unpacked = decompressed([b"\x50\x2a\x4d\x18\xff\xff\xff\xff", *[bytes(1 << 20)] * 9])
    assert unpacked.code == "compressed-unsupported"
    assert unpacked.source.given_bytes < 4 << 20


@pytest.mark.parametrize("image", [SKIPPABLE, SKIPPABLE[:4], SKIPPABLE[:9], SKIPPABLE * 2000])
def test_skippable_frames_alone_are_a_zstd_image_without_a_frame(image: bytes) -> None:
    """As the inspector has it, and ``zstd -d``, which unpacks such a file to nothing."""
    assert decompress_code(image) == "compressed-truncated"


def test_a_long_skippable_frame_before_something_else_is_a_damaged_zstd_image() -> None:
    assert decompress_code(b"\x50\x2a\x4d\x18" + struct.pack("<I", 100_000) + bytes(200_000)) == "compressed-damaged"


def test_an_lz4_frame_after_a_zstd_frame_is_trailing_data() -> None:
    assert decompress_code(zstd_checked(SMALL) + lz4_full(SMALL)) == "compressed-trailing-data"


def test_a_truncated_file_of_the_zstd_program_is_refused() -> None:
    packed = by_program(SMALL * 1000, "zstd", "-c")
    assert decompress_code(packed[:-5]) == "compressed-truncated"
