"""VDI: images of VirtualBox and qemu."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, details, examine, fields, names, refused
from support.images import packed_into

MiB = 1 << 20
Images = Callable[..., bytes]
DATA = b"data" * 16384 + bytes(3 * MiB) + b"more" * 128
STATIC = ("-o", "static=on")


@pytest.fixture
def vdi(qemu_img: Images) -> bytes:
    return qemu_img("vdi", data=DATA)


@pytest.mark.parametrize("options", [(), STATIC])
@pytest.mark.parametrize("cut", [4096, MiB])
def test_images_of_qemu_pass(qemu_img: Images, options: tuple[str, ...], cut: int) -> None:
    for size_known in (True, False):
        examination = examine(qemu_img("vdi", *options, data=DATA), cut=cut, size_known=size_known)
        assert names(examination) == ["vdi"]
        assert codes(examination) == set()
        assert examination.matches[0].variant == ("static" if options else "dynamic")
        assert examination.matches[0].virtual_size == len(DATA)


@pytest.mark.parametrize("size", [0, 512, MiB + 512, 1 << 40])
def test_every_size_passes(qemu_img: Images, size: int) -> None:
    examination = examine(qemu_img("vdi", size=size))
    assert refused(examination) == set()
    assert examination.matches[0].virtual_size == size


def test_text_of_every_maker_is_noted(vdi: bytes) -> None:
    examination = examine(packed_into(vdi, 0, "64s", b"<<< Oracle VM VirtualBox Disk Image >>>\n"))
    assert codes(examination) == set()
    assert "Oracle" in str(fields(examination.matches[0])["text"])


@pytest.mark.parametrize(
    ("at", "layout", "value", "code"),
    [
        (68, "<I", 0x00010000, "version"),
        (72, "<I", 8, "header"),
        (76, "<I", 3, "parent"),
        (76, "<I", 4, "parent"),
        (76, "<I", 7, "subformat"),
        (340, "<I", 100, "header"),
        (340, "<I", 0, "overlap"),
        (340, "<I", 0xFFFFFE00, "outside-file"),
        (344, "<I", 513, "header"),
        (344, "<I", 512, "overlap"),
        (344, "<I", 0xFFFFFE00, "outside-file"),
        (360, "<I", 4096, "header"),
        (368, "<Q", (1 << 64) - 1, "virtual-size"),
        (368, "<Q", 8 * MiB, "header"),
        (376, "<I", 0, "header"),
        (376, "<I", 3 * MiB, "header"),
        (380, "<I", 512, "unknown-feature"),
        (384, "<I", 0xFFFFFFFF, "header"),
        (384, "<I", 0x1FFFFFFF, "outside-file"),
        (388, "<I", 100, "header"),
        (424, "<Q", 1, "parent"),
        (440, "<Q", 1, "parent"),
    ],
)
def test_impossible_header_is_refused(vdi: bytes, at: int, layout: str, value: int, code: str) -> None:
    assert code in refused(packed_into(vdi, at, layout, value))


def test_blocks_outside_the_file_or_twice_are_refused(vdi: bytes) -> None:
    (at,) = struct.unpack_from("<I", vdi, 340)
    assert struct.unpack_from("<4I", vdi, at) == (0, 0xFFFFFFFF, 0xFFFFFFFF, 1)
    assert refused(packed_into(vdi, at + 4, "<I", 2)) == {"outside-file"}
    assert refused(packed_into(vdi, at + 4, "<I", 1)) == {"overlap"}
    assert "header" in refused(packed_into(vdi, at + 4, "<I", 0xFFFFFFFD))
    assert refused(vdi[:-512]) == {"outside-file"}
    # a block that was given back
    assert codes(examine(packed_into(vdi, at + 4, "<I", 0xFFFFFFFE))) == set()
    assert codes(examine(packed_into(vdi, at, "<I", 0xFFFFFFFE))) == {"odd"}


def test_map_after_the_data_is_refused(vdi: bytes) -> None:
    (at,) = struct.unpack_from("<I", vdi, 340)
    assert refused(packed_into(vdi, 340, "<I", len(vdi)) + vdi[at : at + 512]) == {"header"}


def test_block_size_that_qemu_cannot_read_is_odd(vdi: bytes) -> None:
    image = packed_into(packed_into(vdi, 376, "<I", MiB // 2), 384, "<I", 8)
    assert "but qemu reads only" in details(examine(image))


def test_short_file_with_the_signature_is_not_vdi(vdi: bytes) -> None:
    assert "vdi" not in names(examine(vdi[:400]))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_changed_images_do_not_depend_on_chunks(qemu_img: Images, data: st.DataObject) -> None:
    image = bytearray(qemu_img("vdi", data=DATA))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(60, 500) | st.integers(512, 600))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        image[at : at + len(piece)] = piece
    del image[data.draw(st.integers(0, len(image)) | st.just(len(image))) :]
    cut, size_known = data.draw(st.integers(1000, 200_000)), data.draw(st.booleans())
    assert_cuts_agree(bytes(image), cut, size_known=size_known)
