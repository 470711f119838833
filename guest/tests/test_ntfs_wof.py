"""Files that the Windows Overlay Filter keeps compressed, as wimlib packs them."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from guest_ntfs import Volume, named, opened, read
from guest_stored import WOF_METHODS, overlay_files, stored
from hypothesis import example, given
from hypothesis import strategies as st

from douane_guest.errors import Broken, GuestError, TooMuch, Unsupported
from douane_guest.filesystems.ntfs import lzx, xpress
from douane_guest.filesystems.ntfs.huffman import code

FILES = overlay_files()


@pytest.fixture(scope="module")
def image() -> bytes:
    return stored("ntfs-wof")


@pytest.mark.parametrize("number", WOF_METHODS)
def test_every_method_is_read_from_any_place_on(image, number):
    system = opened(image)
    for name, data in FILES.items():
        node = named(system, f"{name}.{number}".encode())
        assert read(system, f"{name}.{number}".encode()) == data
        for start in (0, 1, 4096, 70_000, len(data)):
            shown = bytearray(len(data))
            for offset, piece in system.chunks(node, start):
                assert offset + len(piece) > start
                shown[offset : offset + len(piece)] = piece
            assert shown[start:] == data[start:]


def test_the_packed_bytes_are_a_stream_that_is_listed_and_tells_the_place(image):
    system = opened(image)
    packed = read(system, b"lines.1:WofCompressedData")
    assert len(packed) < len(FILES["lines"]) // 4
    assert system.place(named(system, b"lines.1")) == system.place(named(system, b"lines.1:WofCompressedData")) > 0


@pytest.mark.parametrize("field", [0, 1, 2, 3])
def test_other_providers_versions_and_methods_are_not_read(image, field):
    """The provider 1 keeps the bytes in a WIM image."""
    volume = Volume(image)
    place = volume.attribute(b"lines.0", 0xC0) + 24 + 8 + 4 * field
    system = volume.write(place, "<I", 7).open()
    with pytest.raises(Unsupported, match="Overlay Filter"):
        read(system, b"lines.0")


def test_pieces_that_do_not_follow_each_other_are_broken(image):
    system = opened(image)
    table = read(system, b"lines.0:WofCompressedData")[:8]
    second = struct.unpack("<II", table)[1]
    at = image.index(table)
    for value in (0, second, 1 << 31):
        changed = image[:at] + struct.pack("<I", value) + image[at + 4 :]
        with pytest.raises(Broken, match=r"follow each other|cut off|lie beyond"):
            read(opened(changed), b"lines.0")


def test_a_file_without_its_packed_bytes_is_broken(image):
    name = "WofCompressedData".encode("utf-16-le")
    system = opened(image.replace(name, "XofCompressedData".encode("utf-16-le")))
    with pytest.raises(Broken, match="no stream"):
        read(system, b"small.1")


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [2, 2, 2], [0, 16]])
def test_a_code_that_is_not_complete_is_broken(lengths):
    with pytest.raises(Broken, match="not complete"):
        code(lengths)


@pytest.mark.parametrize("decompress", [xpress.decompress, lzx.decompress])
def test_changed_pieces_have_their_size_or_are_broken(image, decompress):
    number = 0 if decompress is xpress.decompress else 1
    system = opened(image)
    packed = read(system, f"code.{number}:WofCompressedData".encode())
    size = WOF_METHODS[number][1]
    count = -(-len(FILES["code"]) // size)
    (end,) = struct.unpack_from("<I", packed)
    piece = packed[4 * (count - 1) : 4 * (count - 1) + end]
    assert decompress(piece, size) == FILES["code"][:size]
    chance, broken = random.Random(3), 0
    for _ in range(60):
        changed = bytearray(piece[: chance.choice((len(piece), chance.randrange(len(piece))))])
        for _ in range(chance.randint(0, 3) if changed else 0):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        try:
            assert len(decompress(bytes(changed), size)) == size
        except GuestError:
            broken += 1
    assert broken > 10


def test_a_piece_of_many_blocks_is_bounded():
    """Each block has one byte, stored, behind a head of 14."""
    words = b"".join(
        struct.pack("<HH", 0b011_0_0000_0000_0000, 0b0001 << 12) + struct.pack("<3I", 1, 1, 1) + b"A\0"
        for _ in range(65)
    )
    assert lzx.decompress(words, 3) == b"AAA"
    with pytest.raises(TooMuch):
        lzx.decompress(words, 65)


def test_lzx_with_aligned_distances_is_unpacked():
    """Records of 16 bytes, packed by wimlib in one block of that type."""
    chance = random.Random(0)
    records = [chance.randbytes(8) for _ in range(40)]
    expected = b"".join(chance.choice(records) + bytes([number & 7]) * 8 for number in range(300))
    packed = (Path(__file__).parent / "data/lzx-aligned.bin").read_bytes()
    assert lzx.decompress(packed, len(expected)) == expected


@example(place=50, target=11_999_990)
@given(place=st.integers(0, 80), target=st.integers(-80, 12_000_000))
def test_calls_are_made_relative_again(place, target):
    """What a compressor makes absolute: targets in the file, and those that wrap around its end."""
    if -place <= target < 12_000_000:
        absolute = target + place if target < 12_000_000 - place else target - 12_000_000
        head = b"\xe8" + absolute.to_bytes(4, "little", signed=True)
        shown = lzx._with_calls(bytearray(bytes(place) + head + bytes(20)))
        assert shown == bytes(place) + b"\xe8" + target.to_bytes(4, "little", signed=True) + bytes(20)
