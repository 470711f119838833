"""VHDX: the current header, the log, the places of regions and blocks ([MS-VHDX])."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane_guest.headers.crc32c import crc32c as ours
from support.examination import assert_cuts_agree, codes, details, examine, fields, names, refused
from support.images import packed_into
from support.images.vhd import crc32c, vhdx_summed

KiB, MiB = 1 << 10, 1 << 20
HEADERS = (64 * KiB, 128 * KiB)
REGIONS = (192 * KiB, 256 * KiB)
Images = Callable[..., bytes]
DATA = b"data" * 16384 + bytes(20 * MiB) + b"more" * 128


@pytest.fixture
def vhdx(qemu_img: Images) -> bytes:
    return qemu_img("vhdx", data=DATA)


def headed(image: bytes, at: int, layout: str, *values: int | bytes, which: tuple[int, ...] = (0, 1)) -> bytes:
    """`image` with its headers changed, and their checksums."""
    for number in which:
        image = vhdx_summed(packed_into(image, HEADERS[number] + at, layout, *values), HEADERS[number], 4096)
    return image


def tabled(image: bytes, at: int, layout: str, *values: int | bytes) -> bytes:
    """`image` with both region tables changed, and their checksums."""
    for table in REGIONS:
        image = vhdx_summed(packed_into(image, table + at, layout, *values), table, 64 * KiB)
    return image


def region(image: bytes, first: int) -> tuple[int, int]:
    """The offsets of the entry of a region in its table, and of the region in the image; `first` of its identity."""
    for at in range(16, 16 + 64, 32):
        if struct.unpack_from("<I", image, REGIONS[0] + at)[0] == first:
            return at, struct.unpack_from("<Q", image, REGIONS[0] + at + 16)[0]
    raise AssertionError("the region is missing")


def item(image: bytes, first: int) -> tuple[int, int]:
    """The offsets of a metadata item's entry and of the item in the image."""
    _, start = region(image, 0x8B7CA206)
    for at in range(start + 32, start + 32 + 32 * 8, 32):
        if struct.unpack_from("<I", image, at)[0] == first:
            return at, start + struct.unpack_from("<I", image, at + 16)[0]
    raise AssertionError("the item is missing")


BAT, PARAMETERS, SIZE, SECTOR_SIZE = 0x2DC27766, 0xCAA16737, 0x2FA54224, 0x8141BF1D


@pytest.mark.parametrize("options", [(), ("-o", "subformat=fixed"), ("-o", "block_size=1M")])
@pytest.mark.parametrize("cut", [65536, MiB])
def test_images_of_qemu_pass(qemu_img: Images, options: tuple[str, ...], cut: int) -> None:
    for size_known in (True, False):
        examination = examine(qemu_img("vhdx", *options, data=DATA), cut=cut, size_known=size_known)
        assert names(examination) == ["vhdx"]
        assert codes(examination) == set()
        assert examination.matches[0].variant == ("fixed" if "fixed" in "".join(options) else "dynamic")
        assert examination.matches[0].virtual_size == len(DATA)


@pytest.mark.parametrize("size", [0, 512, 1 << 40])
def test_every_size_passes(qemu_img: Images, size: int) -> None:
    examination = examine(qemu_img("vhdx", size=size))
    assert refused(examination) == set()
    assert examination.matches[0].virtual_size == size


def test_checksum_is_crc32c() -> None:
    assert ours(b"123456789") == 0xE3069283  # the check value of the algorithm
    noise = random.Random(1).randbytes(3000)
    assert ours(noise) == crc32c(noise)


@pytest.mark.parametrize("which", [0, 1])
def test_one_damaged_header_is_odd_and_passes(vhdx: bytes, which: int) -> None:
    for at in (0, 4, 200):
        assert codes(examine(packed_into(vhdx, HEADERS[which] + at, "<I", 0x55))) == {"odd"}


def test_no_header_or_no_region_table_is_refused(vhdx: bytes) -> None:
    without_headers = packed_into(packed_into(vhdx, HEADERS[0], "<I", 0), HEADERS[1], "<I", 0)
    assert refused(without_headers) == {"checksum"}
    assert "checksum" in refused(packed_into(vhdx, REGIONS[0] + 8, "<I", 0xFFFFFFFF))
    assert refused(packed_into(vhdx, REGIONS[1] + 3000, "<I", 1)) == {"checksum"}
    assert refused(vhdx[: 64 * KiB]) == {"truncated"}


def test_header_with_the_higher_sequence_number_counts(vhdx: bytes) -> None:
    numbers = [struct.unpack_from("<Q", vhdx, at + 8)[0] for at in HEADERS]
    current = numbers.index(max(numbers))
    assert fields(examine(vhdx).matches[0])["current header"] == HEADERS[current]
    log = bytes(range(16))
    assert refused(headed(vhdx, 48, "16s", log, which=(current,))) == {"log"}
    assert refused(headed(vhdx, 48, "16s", log, which=(1 - current,))) == set()
    assert refused(headed(vhdx, 48, "16s", log)) == {"log"}
    # set by somebody, or by a writer that was stopped there
    assert refused(packed_into(vhdx, HEADERS[1 - current] + 48, "16s", log)) == {"log"}


def test_headers_with_equal_sequence_numbers_must_be_equal(vhdx: bytes) -> None:
    same = headed(vhdx, 8, "<Q", 7)
    assert refused(headed(same, 16, "<Q", 1, which=(0,))) == {"header"}
    assert refused(headed(same, 16, "32s", bytes(32))) == set()  # Disk2vhd's


@pytest.mark.parametrize(
    ("at", "layout", "value", "code"),
    [
        (64, "<H", 1, "version"),
        (66, "<H", 2, "version"),
        (68, "<I", 1000, "header"),
        (72, "<Q", 0, "overlap"),
        (72, "<Q", 3 * MiB, "overlap"),
        (72, "<Q", 1 << 60, "outside-file"),
    ],
)
def test_impossible_header_is_refused(vhdx: bytes, at: int, layout: str, value: int, code: str) -> None:
    assert code in refused(headed(vhdx, at, layout, value))


def test_impossible_regions_are_refused(vhdx: bytes) -> None:
    at, _ = region(vhdx, BAT)
    assert "header" in refused(tabled(vhdx, 8, "<I", 2048))
    assert "header" in refused(tabled(vhdx, 8, "<I", 1))
    assert "unknown-feature" in refused(tabled(tabled(vhdx, 8, "<I", 3), 80, "<16sQII", b"x" * 16, 90 * MiB, MiB, 1))
    optional = tabled(tabled(vhdx, 8, "<I", 3), 80, "<16sQII", b"x" * 16, 5 * MiB, MiB, 0)
    assert "unknown-feature" not in refused(optional)
    assert "outside-file" in refused(tabled(vhdx, at + 16, "<Q", 1 << 50))
    assert "overlap" in refused(tabled(vhdx, at + 16, "<Q", 0))
    assert "header" in refused(tabled(vhdx, at + 16, "<Q", 5 * MiB + 512))
    assert "header" in refused(tabled(vhdx, at + 24, "<I", 0))
    twice = examine(tabled(vhdx, at, "<16s", vhdx[REGIONS[0] + (64 - at) : REGIONS[0] + (64 - at) + 16]))
    assert "appears twice" in details(twice)
    differing = vhdx_summed(packed_into(vhdx, REGIONS[1] + 3000, "<I", 1), REGIONS[1], 64 * KiB)
    assert refused(differing) == {"header"}


@pytest.mark.parametrize(
    ("first", "layout", "value", "code"),
    [
        (PARAMETERS, "<I", 0, "header"),
        (PARAMETERS, "<I", 3 * MiB, "header"),
        (PARAMETERS, "<I", 512 * MiB, "header"),
        (SIZE, "<Q", (64 << 40) + 512, "virtual-size"),
        (SIZE, "<Q", 12 * MiB + 100, "unaligned-size"),
        (SIZE, "<Q", 60 << 40, "header"),
        (SECTOR_SIZE, "<I", 520, "header"),
        (0xCDA348C7, "<I", 520, "header"),
    ],
)
def test_impossible_metadata_are_refused(vhdx: bytes, first: int, layout: str, value: int, code: str) -> None:
    _, at = item(vhdx, first)
    assert code in refused(packed_into(vhdx, at, layout, value))


def test_missing_unknown_or_misplaced_items_are_refused(vhdx: bytes) -> None:
    entry, _ = item(vhdx, SIZE)
    _, start = region(vhdx, 0x8B7CA206)
    assert refused(packed_into(vhdx, entry, "<Q", 1)) == {"header", "unknown-feature"}
    assert refused(packed_into(packed_into(vhdx, entry, "<Q", 1), entry + 24, "<I", 0)) == {"header"}
    for value in (0, 1 << 31):
        assert "which is impossible" in details(examine(packed_into(vhdx, entry + 16, "<I", value)))
    assert refused(packed_into(vhdx, start, "<Q", 0)) == {"header"}
    assert "truncated" in refused(vhdx[: start + 1000])
    assert refused(packed_into(vhdx, start + 10, "<H", 2048)) == {"header"}
    again, _ = item(vhdx, PARAMETERS)
    assert "appears twice" in details(examine(packed_into(vhdx, entry, "16s", vhdx[again : again + 16])))


def test_parent_is_found_by_its_locator_or_the_flag(vhdx: bytes) -> None:
    _, parameters = item(vhdx, PARAMETERS)
    flagged = packed_into(vhdx, parameters + 4, "<I", 2)
    assert "parent" in refused(flagged)
    entry, _ = item(vhdx, 0xBECA12AB)  # what it was is not needed to tell
    _, start = region(vhdx, 0x8B7CA206)
    key, value = "relative_path".encode("utf-16-le"), "..\\base.vhdx".encode("utf-16-le")
    locator = bytes(18) + struct.pack("<HIIHH", 1, 32, 32 + len(key), len(key), len(value)) + key + value
    image = packed_into(
        flagged, entry, "<16sII", bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c"), 80 * KiB, len(locator)
    )
    examination = examine(packed_into(image, start + 80 * KiB, f"{len(locator)}s", locator))
    assert "parent" in refused(examination)
    assert "relative_path=..\\\\base.vhdx" in details(examination)


def test_blocks_outside_the_file_or_over_structures_are_refused(vhdx: bytes) -> None:
    _, at = region(vhdx, BAT)
    (first,) = struct.unpack_from("<Q", vhdx, at)
    assert first & 7 == 6
    assert refused(packed_into(vhdx, at, "<Q", 1 << 50 | 6)) == {"outside-file"}
    for place in (0, 1, 2, 3):
        assert refused(packed_into(vhdx, at, "<Q", place << 20 | 6)) == {"overlap"}
    assert refused(packed_into(vhdx, at + 8, "<Q", first)) == {"overlap"}
    assert refused(packed_into(vhdx, at + 8, "<Q", 4)) == {"header"}
    assert refused(packed_into(vhdx, at + 8, "<Q", 200 << 20 | 7)) == {"header", "outside-file"}
    assert refused(vhdx[: -4 * MiB]) == {"outside-file"}


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_changed_images_do_not_depend_on_chunks(qemu_img: Images, data: st.DataObject) -> None:
    image = qemu_img("vhdx", "-o", "block_size=1M", data=DATA[:65536])
    for _ in range(data.draw(st.integers(0, 3))):
        piece = data.draw(st.binary(min_size=1, max_size=8))
        place = data.draw(st.integers(0, 3))
        if place == 0:
            image = headed(image, data.draw(st.integers(0, 80)), f"{len(piece)}s", piece)
        elif place == 1:
            image = tabled(image, data.draw(st.integers(0, 100)), f"{len(piece)}s", piece)
        elif place == 2:
            image = packed_into(image, 2 * MiB + data.draw(st.integers(0, 64)), f"{len(piece)}s", piece)
        else:
            at = 3 * MiB + data.draw(st.integers(0, 250) | st.integers(64 * KiB, 64 * KiB + 64))
            image = packed_into(image, at, f"{len(piece)}s", piece)
    image = image[: data.draw(st.integers(0, len(image)) | st.just(len(image)))]
    cut, size_known = data.draw(st.integers(10_000, 3_000_000)), data.draw(st.booleans())
    assert_cuts_agree(image, cut, size_known=size_known)
