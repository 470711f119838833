"""VMDK: the stream of a compressed extent as written by the tools of VMware. It must be complete, and the same disk for
readers of the stream and readers of the tables."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, details, examine, fields, names, refused
from support.images import SECTOR, packed_into
from support.images.vmdk import AT_END, GRAIN, StreamMaker, stream, vmdk_text

Images = Callable[..., bytes]
STREAM = stream()


@pytest.mark.parametrize("cut", [777, 1 << 20])
@pytest.mark.parametrize("size_known", [True, False])
def test_complete_stream_passes(tmp_path: Path, cut: int, size_known: bool) -> None:
    examination = examine(STREAM, cut=cut, size_known=size_known)
    assert names(examination) == ["vmdk"]
    assert codes(examination) == set()
    assert examination.matches[0].variant == "streamOptimized"
    assert examination.matches[0].virtual_size == 3 * GRAIN * SECTOR
    assert fields(examination.matches[0])["grains in the stream"] == 3


def test_qemu_reads_the_built_image(tmp_path: Path) -> None:
    image, raw = tmp_path / "image.vmdk", tmp_path / "image.raw"
    image.write_bytes(STREAM)
    words = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(image), str(raw)]
    subprocess.run(words, check=True)
    assert raw.read_bytes() == b"".join(bytes([number]) * GRAIN * SECTOR for number in (1, 2, 3))


def test_stream_of_many_grains_and_small_ones_passes(qemu_img: Images) -> None:
    noise = b"".join(struct.pack("<Q", number * number * 0x9E3779B97F4A7C15 % (1 << 64)) for number in range(1 << 16))
    data = b"".join(bytes([number]) * 65536 for number in range(1, 200)) + noise * 4 + b"text" * 65536
    examination = examine(qemu_img("vmdk", "-o", "subformat=streamOptimized", data=data))
    assert codes(examination) == set()
    assert fields(examination.matches[0])["grains in the stream"] == len(data) // 65536


@pytest.mark.parametrize(
    "end", [65536 + 5, 65536 + 300, 66048, 67000, len(STREAM) - 1024, len(STREAM) - 512, len(STREAM) - 1]
)
def test_stream_that_ends_early_is_refused(end: int) -> None:
    assert "truncated" in refused(STREAM[:end])


def test_every_early_end_is_found(qemu_img: Images) -> None:
    (directory,) = struct.unpack_from("<Q", STREAM, len(STREAM) - 1024 + 56)
    for_stream = packed_into(STREAM, 56, "<Q", directory)
    assert "no end marker" in details(examine(for_stream[: len(STREAM) - 512]))
    assert "ends in a grain table" in details(examine(STREAM[: len(STREAM) - 3072 - 600]))
    assert "ends in the grain directory" in details(examine(for_stream[: len(STREAM) - 2048]))
    data = b"".join(bytes([number]) * 65536 for number in range(1, 80))
    image = qemu_img("vmdk", "-o", "subformat=streamOptimized", data=data).rstrip(b"\0")
    assert "the last grain ends at" in details(examine(image[:-20]))
    padded = image + bytes(-len(image) % 512)
    assert codes(examine(padded)) == set()
    assert refused(padded + b"abc") == {"truncated"}


def test_short_directory_is_refused() -> None:
    assert "the grain directory has 0 bytes" in details(examine(packed_into(STREAM, len(STREAM) - 2560, "<Q", 0)))


def test_compressed_extent_without_markers_is_refused() -> None:
    flags = packed_into(packed_into(STREAM, 8, "<I", 0x10001), len(STREAM) - 1024 + 8, "<I", 0x10001)
    assert refused(flags) == {"header"}


@pytest.mark.parametrize("tail", [bytes(512), b"\1" * 512, b"x"])
def test_footer_before_the_end_is_refused(tail: bytes) -> None:
    assert refused(STREAM + tail) == {"truncated"}


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (b"\x78\x9d" + zlib.compress(bytes(65536))[2:], "not a zlib stream"),
        (b"not packed at all", "not a zlib stream"),
        (zlib.compress(bytes(65536))[:-1] + b"\2", "incorrect data check"),
        (zlib.compress(bytes(65536))[:-1], "does not unpack to exactly"),
        (zlib.compress(bytes(65537)), "does not unpack to exactly"),
        (zlib.compress(bytes(65536 - 512)), "does not unpack to exactly"),
        (zlib.compress(bytes(1 << 24)), "does not unpack to exactly"),
    ],
)
def test_grain_that_cannot_be_unpacked_is_refused(packed: bytes, why: str) -> None:
    maker = StreamMaker()
    maker.grain(0)
    maker.grain(1, packed)
    maker.grain(2)
    examination = examine(maker.finish())
    assert "corrupt" in refused(examination)
    assert why in details(examination)


def test_damaged_grain_of_qemu_is_refused(qemu_img: Images) -> None:
    image = qemu_img("vmdk", "-o", "subformat=streamOptimized", data=b"some text, " * 30000)
    assert refused(packed_into(image, 65536 + 40, "8s", b"\xff" * 8)) == {"corrupt"}
    assert "truncated" in refused(image[: 65536 + 30])


@pytest.mark.parametrize(
    ("at", "layout", "value", "code"),
    [
        (0, "<Q", 5, "header"),
        (0, "<Q", 1 << 40, "header"),
        (0, "<Q", GRAIN, "header"),
        (8, "<I", 1 << 30, "corrupt"),
        (8, "<I", 0, "header"),
    ],
)
def test_impossible_marker_is_refused(at: int, layout: str, value: int, code: str) -> None:
    assert code in refused(packed_into(STREAM, 65536 + at, layout, value))


def test_unordered_grains_are_odd() -> None:
    maker = StreamMaker()
    for number in (1, 0, 2):
        maker.grain(number)
    assert codes(examine(maker.finish())) == {"odd"}


def test_tables_that_contradict_the_stream_are_refused() -> None:
    for change in ([0] * 512, [129] * 512, [128, 130, 129] + [0] * 509):
        maker = StreamMaker()
        for number in range(3):
            maker.grain(number)
        assert refused(maker.finish(change)) == {"header"}


def test_leading_tables_that_contradict_the_stream_are_refused(qemu_img: Images) -> None:
    image = qemu_img("vmdk", "-o", "subformat=streamOptimized", data=b"a" * 65536 + b"b" * 65536)
    (directory,) = struct.unpack_from("<Q", image, 56)
    (table,) = struct.unpack_from("<I", image, directory * SECTOR)
    assert codes(examine(image)) == set()
    assert refused(packed_into(image, table * SECTOR, "<I", 0)) == {"header"}
    assert refused(packed_into(image, table * SECTOR + 8, "<I", 130)) == {"header"}


def test_directory_that_names_other_tables_is_refused() -> None:
    maker = StreamMaker()
    maker.grain(0)
    assert refused(maker.finish(table=128)) == {"header"}


def test_directory_with_a_table_twice_is_refused() -> None:
    maker = StreamMaker(513)
    for number in range(512):
        maker.grain(number)
    table = maker.sector + 1
    image = maker.finish()
    assert struct.unpack_from("<2I", image, len(image) - 2048) == (table, 0)
    assert codes(examine(image)) == set()
    assert refused(packed_into(image, len(image) - 2044, "<I", table)) == {"header"}
    assert refused(packed_into(image, len(image) - 2048, "<I", 0)) == {"header"}


def test_second_table_for_the_same_grains_is_refused() -> None:
    maker = StreamMaker(2)
    maker.grain(0)
    maker.marker(4, 1)
    maker.image += struct.pack("<512I", *maker.entries)
    maker.entries = [0] * 512
    maker.grain(1)
    assert refused(maker.finish()) == {"header"}


@pytest.mark.parametrize("footer", [{"capacity": 1 << 20}, {"directory": 128}, {"directory": AT_END}])
def test_footer_that_contradicts_its_header_is_refused(footer: dict[str, int]) -> None:
    maker = StreamMaker()
    for number in range(3):
        maker.grain(number)
    examination = examine(maker.finish(footer=footer))
    assert refused(examination) == {"header"}
    assert examination.matches[0].virtual_size == footer.get("capacity", maker.capacity) * SECTOR


def test_directory_at_the_end_may_be_in_the_header() -> None:
    """The header was rewritten after the stream."""
    footer = len(STREAM) - 1024
    (directory,) = struct.unpack_from("<Q", STREAM, footer + 56)
    assert codes(examine(packed_into(STREAM, 56, "<Q", directory))) == set()
    assert refused(packed_into(STREAM, 56, "<Q", directory - 1)) == {"header"}


def test_descriptor_of_a_stream_is_checked() -> None:
    maker = StreamMaker(1, vmdk_text('RW 128 FLAT "/etc/passwd" 0', "streamOptimized"))
    maker.grain(0)
    assert refused(maker.finish()) == {"external-extent"}


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_changed_streams_do_not_depend_on_chunks(data: st.DataObject) -> None:
    image = bytearray(STREAM)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, 80) | st.integers(65536, len(image) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        image[at : at + len(piece)] = piece
    del image[data.draw(st.integers(0, len(image)) | st.just(len(image))) :]
    cut, size_known = data.draw(st.integers(100, 80_000)), data.draw(st.booleans())
    assert_cuts_agree(bytes(image), cut, size_known=size_known)
