"""VHD: fixed, dynamic and differencing. Images of real tools pass with the size that qemu sees; a raw disk with a
foreign footer stays raw."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, examine, fields, names, refused
from support.images import packed_into
from support.images.vhd import vhd_footer, vhd_summed

MiB = 1 << 20
Images = Callable[..., bytes]
DATA = (b"data" * 16384 + bytes(3 * MiB)) * 2 + b"end!" * 128
DYNAMIC, FIXED = ("-o", "subformat=dynamic"), ("-o", "subformat=fixed")


def qemu_size(folder: Path, image: bytes, options: dict[str, str]) -> int:
    """Bytes of the disk by qemu-img with `options`."""
    path = folder / "image.vhd"
    path.write_bytes(image)
    image_options = {"driver": "vpc", "file.filename": str(path)} | options
    words = ["qemu-img", "info", "--output=json", "--image-opts", ",".join(map("=".join, image_options.items()))]
    output = subprocess.run(words, check=True, capture_output=True).stdout
    return int(json.loads(output)["virtual-size"])


def footed(image: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A dynamic image with both footers changed, and their checksums."""
    new = vhd_summed(change(image[:512]), 64)
    return new + image[512:-512] + new


def headed(image: bytes, at: int, layout: str, value: int) -> bytes:
    """A dynamic image with its dynamic header changed, and the checksum."""
    header = vhd_summed(packed_into(image[512:1536], at, layout, value), 36)
    return image[:512] + header + image[1536:]


@pytest.fixture
def dynamic(qemu_img: Images) -> bytes:
    return qemu_img("vpc", *DYNAMIC, data=DATA)


@pytest.mark.parametrize("options", [DYNAMIC, FIXED, ("-o", "force_size"), ("-o", "subformat=fixed,force_size")])
@pytest.mark.parametrize("cut", [4096, MiB])
def test_images_of_qemu_pass_with_the_same_size(
    tmp_path: Path, qemu_img: Images, options: tuple[str, ...], cut: int
) -> None:
    image = qemu_img("vpc", *options, data=DATA)
    for size_known in (True, False):
        examination = examine(image, cut=cut, size_known=size_known)
        assert names(examination)[0] == "vhd"
        assert codes(examination) == set()
        assert examination.matches[0].variant == ("fixed" if "fixed" in options[1] else "dynamic")
        assert examination.matches[0].virtual_size == qemu_size(tmp_path, image, {})


@pytest.mark.parametrize(
    "creator",
    [b"vpc ", b"qemu", b"qem2", b"win ", b"d2v ", b"tap\0", b"CTXS", b"wa\0\0", b"vbox", b"vs  ", b"86Bx"],
)
@pytest.mark.parametrize("geometry", [(120, 4, 17), (65535, 16, 255)])
def test_virtual_size_is_that_of_the_guest_and_of_qemu_with_the_options(
    tmp_path: Path, dynamic: bytes, creator: bytes, geometry: tuple[int, int, int]
) -> None:
    image = footed(dynamic, lambda _: vhd_footer(4 * MiB, 3, creator=creator, geometry=geometry))
    examination = examine(image)
    assert refused(examination) == set()
    shorter_before_qemu_10 = creator in (b"wa\0\0", b"vbox", b"vs  ", b"86Bx") and geometry[0] == 120
    assert codes(examination) == ({"odd"} if shorter_before_qemu_10 else set())
    by_geometry = creator in (b"vpc ", b"qemu") and geometry[0] == 120
    size = 120 * 4 * 17 * 512 if by_geometry else 4 * MiB
    assert examination.matches[0].virtual_size == size
    assert qemu_size(tmp_path, image, examination.matches[0].qemu_options) == size


@pytest.mark.parametrize(
    ("size", "geometry", "creator"),
    [
        (1 << 40, (32, 16, 63), b"win "),  # to qemu before 10.0
        (1 << 40, (32, 16, 63), b"vpc "),  # to Hyper-V
        (32 * 16 * 63 * 512, (60000, 16, 63), b"wa\0\0"),  # to qemu before 10.0
        (32 * 16 * 63 * 512, (60000, 16, 63), b"vpc "),  # to qemu
    ],
)
@pytest.mark.parametrize("kind", [2, 3])
def test_disk_that_is_much_larger_to_some_programs_is_refused_or_has_that_size(
    dynamic: bytes, size: int, geometry: tuple[int, int, int], creator: bytes, kind: int
) -> None:
    """Else such an image passes a limit on the size of disks."""
    footer = vhd_footer(size, kind, creator=creator, geometry=geometry)
    image = bytes(32 * 16 * 63 * 512) + footer if kind == 2 else footed(dynamic, lambda _: footer)
    examination = examine(image)
    largest = max(size, geometry[0] * geometry[1] * geometry[2] * 512)
    assert "virtual-size" in refused(examination) or examination.matches[0].virtual_size == largest


def test_footer_of_511_bytes_is_read(dynamic: bytes) -> None:
    assert codes(examine(dynamic[:-1])) == set()
    fixed = bytes(MiB) + vhd_footer(MiB, 2)[:511]
    assert names(examine(fixed))[0] == "vhd"


def test_raw_disk_with_a_foreign_footer_is_not_vhd() -> None:
    for footer in (vhd_footer(64 * MiB, 2), vhd_footer(4 * MiB, 6), b"conectix is what it says".ljust(512)):
        examination = examine(bytes(4 * MiB) + footer)
        assert "vhd" not in names(examination)
        assert "odd" in codes(examination)
        assert "vhd-footer" in names(examination)


def test_fixed_disk_with_wrong_checksum_is_refused() -> None:
    examination = examine(bytes(MiB) + packed_into(vhd_footer(MiB, 2), 64, ">I", 7))
    assert names(examination)[0] == "vhd"
    assert refused(examination) == {"checksum"}


def test_unusual_images_are_odd_and_pass(dynamic: bytes) -> None:
    assert codes(examine(headed(dynamic, 40, ">I", 7))) == {"odd"}
    assert codes(examine(footed(dynamic, lambda footer: packed_into(footer, 84, "B", 1)))) == {"dirty"}
    fixed = examine(bytes(MiB) + vhd_summed(packed_into(vhd_footer(MiB, 2), 16, ">Q", 0), 64))
    assert names(fixed)[0] == "vhd"
    assert codes(fixed) == {"odd"}


def test_differencing_disk_has_a_parent(dynamic: bytes) -> None:
    image = footed(dynamic, lambda footer: packed_into(footer, 60, ">I", 4))
    image = headed(image, 64, "18s", "/etc/base".encode("utf-16-be"))  # type: ignore[arg-type]  # bytes, as 18s wants
    examination = examine(image)
    assert refused(examination) == {"parent"}
    assert fields(examination.matches[0])["parent"] == "/etc/base"


@pytest.mark.parametrize(
    ("at", "layout", "value", "code"),
    [
        (12, ">I", 0x20000, "version"),
        (16, ">Q", 1 << 50, "truncated"),
        (16, ">Q", 1024, "header"),
        (48, ">Q", (1 << 64) - 512, "virtual-size"),
        (48, ">Q", (2040 << 30) + 512, "virtual-size"),
        (48, ">Q", 4 * MiB + 7, "unaligned-size"),
        (60, ">I", 2, "header"),
        (60, ">I", 6, "subformat"),
    ],
)
def test_impossible_footer_is_refused(dynamic: bytes, at: int, layout: str, value: int, code: str) -> None:
    image = footed(dynamic, lambda _: vhd_footer(4 * MiB, 3))
    assert codes(examine(image)) == set()
    assert code in refused(footed(image, lambda footer: packed_into(footer, at, layout, value)))


@pytest.mark.parametrize(
    ("at", "layout", "value", "code"),
    [
        (0, ">Q", 0, "header"),
        (16, ">Q", 0, "overlap"),
        (16, ">Q", 1 << 40, "outside-file"),
        (24, ">I", 0x20000, "version"),
        (28, ">I", 0xFFFFFFFF, "header"),
        (28, ">I", 1, "header"),
        (32, ">I", 0, "header"),
        (32, ">I", 3 * MiB, "header"),
        (32, ">I", 1 << 31, "header"),
    ],
)
def test_impossible_dynamic_header_is_refused(dynamic: bytes, at: int, layout: str, value: int, code: str) -> None:
    assert code in refused(headed(dynamic, at, layout, value))


def test_wrong_checksums_are_refused(dynamic: bytes) -> None:
    for at in (64, 512 + 36, len(dynamic) - 512 + 64):
        assert refused(packed_into(dynamic, at, ">I", 0x1234)) == {"checksum"}


def test_footer_and_copy_must_exist_and_agree(dynamic: bytes) -> None:
    other_footer = vhd_footer(2 * MiB, 3)
    assert refused(dynamic[:-512] + other_footer) == {"header"}
    assert refused(dynamic[:-512]) == {"truncated"}
    lost = examine(bytes(512) + dynamic[512:])
    assert "vhd" in names(lost)
    assert "header" in refused(lost)


def test_blocks_outside_the_file_or_overlapping_are_refused(dynamic: bytes) -> None:
    (table,) = struct.unpack_from(">Q", dynamic, 512 + 16)
    assert struct.unpack_from(">I", dynamic, table)[0] != 0xFFFFFFFF
    assert refused(packed_into(dynamic, table, ">I", 0x7FFFFFFF)) == {"outside-file"}
    assert refused(packed_into(dynamic, table, ">I", 1)) == {"overlap"}
    (first,) = struct.unpack_from(">I", dynamic, table)
    assert refused(packed_into(dynamic, table + 4, ">I", first)) == {"overlap"}
    assert refused(packed_into(dynamic, table + 4, ">I", first + 1)) == {"overlap"}


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_changed_images_do_not_depend_on_chunks(qemu_img: Images, data: st.DataObject) -> None:
    image = bytearray(qemu_img("vpc", *data.draw(st.sampled_from([DYNAMIC, FIXED])), data=DATA[:65536]))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, 100) | st.integers(512, 1600) | st.integers(len(image) - 512, len(image) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        image[at : at + len(piece)] = piece
    del image[data.draw(st.integers(0, len(image)) | st.just(len(image))) :]
    cut, size_known = data.draw(st.integers(1000, 200_000)), data.draw(st.booleans())
    assert_cuts_agree(bytes(image), cut, size_known=size_known)
