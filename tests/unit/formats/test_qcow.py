"""qcow, version 1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.examination import codes, examine, fields, match_of, names, policies
from support.fuzzing.header_mutants import header_mutants
from support.fuzzing.seeds import seeds
from support.images import be, patched

MiB = 1 << 20
QemuImg = Callable[..., bytes]
DATA = bytes(range(1, 256)) * 8192


def test_images_of_qemu_img_pass(qemu_img: QemuImg) -> None:
    for image in (qemu_img("qcow"), qemu_img("qcow", data=DATA)):
        examination = examine(image)
        (match,) = examination.matches
        assert (match.name, match.disk_format, match.variant) == ("qcow", "qcow", "v1")
        assert match.virtual_size in (8 * MiB, len(DATA))
        assert not examination.findings


def test_qcow_is_not_qcow2(qemu_img: QemuImg) -> None:
    assert names(examine(qemu_img("qcow"))) == ["qcow"]
    assert names(examine(patched(qemu_img("qcow2"), (4, be(1, 4))))) == ["qcow"]


def test_backing_file_is_refused_and_named(qemu_img: QemuImg) -> None:
    image = qemu_img("qcow", "-u", "-b", "/base.img", "-F", "raw")
    assert policies(examine(image)) == {"backing-file": "refuse"}
    assert fields(match_of(image, "qcow"))["backing file"] == "/base.img"


@pytest.mark.parametrize(("offset", "length"), [(48, 0), (48, 1024), (1 << 63, 9)])
def test_impossible_backing_name_is_refused(qemu_img: QemuImg, offset: int, length: int) -> None:
    image = patched(qemu_img("qcow"), (8, be(offset, 8) + be(length, 4)))
    assert {"backing-file", "header"} <= codes(examine(image))


@pytest.mark.parametrize(("method", "findings"), [(1, {"encrypted": "warn"}), (2, {"unknown-feature": "refuse"})])
def test_encryption_is_found(qemu_img: QemuImg, method: int, findings: dict[str, str]) -> None:
    assert policies(examine(patched(qemu_img("qcow"), (36, be(method, 4))))) == findings


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (32, b"\x08", "header"),
        (32, b"\x11", "header"),
        (33, b"\x05", "header"),
        (33, b"\x0e", "header"),
        (24, be(0, 8), "no-disk"),
        (24, be(MiB + 1, 8), "unaligned-size"),
        (24, be((1 << 64) - 512, 8), "virtual-size"),
        (40, be(8, 8), "overlap"),
        (40, be(1 << 40, 8), "outside-file"),
        (48, be(1 << 40, 8), "outside-file"),
        (48, be(1 << 63, 8), "header"),
        (48, be(16, 8), "overlap"),
        (48, be(48, 8), "overlap"),
        (48, be(512, 8) * 2, "overlap"),
    ],
)
def test_contradictory_header_is_refused(qemu_img: QemuImg, at: int, value: bytes, code: str) -> None:
    assert code in codes(examine(patched(qemu_img("qcow", size=64 * MiB), (at, value))))


@pytest.mark.parametrize("size_known", [True, False])
def test_half_of_an_image_is_refused(qemu_img: QemuImg, size_known: bool) -> None:
    image = qemu_img("qcow", data=DATA)
    assert policies(examine(image[: len(image) // 2], size_known=size_known)) == {"outside-file": "refuse"}


@pytest.mark.parametrize("size_known", [True, False])
def test_compressed_cluster_must_be_in_the_file(qemu_img: QemuImg, size_known: bool) -> None:
    """Built by hand, as qemu-img 7.2 fails to write compressed qcow. Clusters have 4096 bytes: 51 bits of offset."""
    image = qemu_img("qcow", data=DATA)
    table = int.from_bytes(image[48:56], "big")

    def packed(offset: int, length: int) -> bytes:
        return patched(image, (table + 8, be(1 << 63 | length << 51 | offset, 8)))

    assert not examine(packed(len(image) - 700, 700), size_known=size_known).findings
    assert codes(examine(packed(len(image) - 700, 701), size_known=size_known)) == {"outside-file"}


@pytest.mark.parametrize("length", [8, 47])
def test_truncated_header_is_found(qemu_img: QemuImg, length: int) -> None:
    assert codes(examine(qemu_img("qcow")[:length])) == {"truncated"}


def test_overlapping_tables_are_read_once() -> None:
    """L2 tables of 64 KiB within 128 KiB, each 8 bytes after the last."""
    head = b"QFI\xfb" + be(1, 4) + bytes(16) + be((1 << 22) * 16384, 8) + b"\x09\x0d\0\0" + bytes(4) + be(48, 8)
    image = head + b"".join(be(200_000 + 8 * number, 8) for number in range(16384)) + bytes(200_000)
    assert "overlap" in codes(examine(image))


SEEDS = [image for name, image in seeds().items() if name.startswith("qcow") and not name.startswith("qcow2")]

test_mutants_upset_nothing = header_mutants(lambda: SEEDS, 200)
