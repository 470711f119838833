"""Expandable images of Parallels, ``ploop`` in Glance."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.examination import codes, examine, match_of, policies
from support.fuzzing.header_mutants import header_mutants
from support.fuzzing.seeds import seeds
from support.images import le, patched

MiB = 1 << 20
QemuImg = Callable[..., bytes]
DATA = bytes(range(1, 256)) * 16384


@pytest.mark.parametrize("options", ["cluster_size=1M", "cluster_size=64k"])
def test_images_of_qemu_img_pass(qemu_img: QemuImg, options: str) -> None:
    for image in (qemu_img("parallels", "-o", options), qemu_img("parallels", "-o", options, data=DATA)):
        examination = examine(image)
        (match,) = examination.matches
        assert (match.name, match.disk_format, match.variant) == ("parallels", "ploop", "extended")
        assert match.virtual_size in (8 * MiB, len(DATA))
        assert not examination.findings


def old(entries: list[int], *, tracks: int = 63, sectors: int | None = None) -> bytes:
    """An image of the plain format, whose table counts in sectors."""
    table = b"".join(le(entry, 4) for entry in entries)
    size = tracks * len(entries) if sectors is None else sectors
    fields = [le(value, 4) for value in (2, 16, 10, tracks, len(entries))]
    head = b"WithoutFreeSpace" + b"".join(fields) + le(size, 8) + le(0, 4) * 3 + le(0, 8)
    return (head + table).ljust(512 + 63 * 512 * len(entries), b"\0")


def test_plain_format_passes() -> None:
    match = match_of(old([1, 64, 0]), "parallels")
    assert (match.variant, match.virtual_size) == ("plain", 3 * 63 * 512)
    assert not examine(old([1, 64, 0])).findings


def test_plain_format_has_32_bit_sizes() -> None:
    assert match_of(old([1], sectors=1 << 40 | 60), "parallels").virtual_size == 60 * 512


@pytest.mark.parametrize("size_known", [True, False])
def test_entry_outside_the_file_is_refused(qemu_img: QemuImg, size_known: bool) -> None:
    assert policies(examine(old([1, 127]), size_known=size_known)) == {"outside-file": "refuse"}
    image = qemu_img("parallels", data=DATA)
    assert policies(examine(image[: len(image) // 2], size_known=size_known)) == {"outside-file": "refuse"}


def test_entry_into_the_table_is_refused() -> None:
    assert policies(examine(old([1] * 200, tracks=1))) == {"overlap": "refuse"}


def test_unclosed_image_is_dirty(qemu_img: QemuImg) -> None:
    image = qemu_img("parallels")
    assert policies(examine(patched(image, (44, le(0x746F6E59, 4))))) == {"dirty": "warn"}
    assert policies(examine(patched(image, (44, le(7, 4))))) == {"odd": "warn"}
    assert not examine(patched(image, (44, le(0x312E3276, 4)))).findings


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (16, le(1, 4), "version"),
        (28, le(0, 4), "header"),
        (28, le(0xFFFFFFFF, 4), "header"),
        (32, le(0xFFFFFFFF, 4), "header"),
        (32, le(0x1FFFFFFF, 4), "outside-file"),
        (36, le(0, 8), "no-disk"),
        (36, le(1 << 62, 8), "virtual-size"),
        (56, le(1 << 60, 8), "outside-file"),
    ],
)
def test_contradictory_header_is_refused(qemu_img: QemuImg, at: int, value: bytes, code: str) -> None:
    image = patched(qemu_img("parallels"), (at, value))
    assert codes(examine(image)) >= {code}


def test_data_offset_inside_the_table_is_refused() -> None:
    assert "overlap" in codes(examine(patched(old([5] * 200), (48, le(1, 4)))))


@pytest.mark.parametrize("length", [16, 63])
def test_truncated_header_is_found(qemu_img: QemuImg, length: int) -> None:
    assert codes(examine(qemu_img("parallels")[:length])) == {"truncated"}


SEEDS = [seeds()["parallels"], old([1, 64, 0])]

test_mutants_upset_nothing = header_mutants(lambda: SEEDS, 80)
