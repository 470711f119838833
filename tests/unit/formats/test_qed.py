"""QED."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.examination import codes, examine, fields, match_of, policies
from support.fuzzing.header_mutants import header_mutants
from support.fuzzing.seeds import seeds
from support.images import le, patched

MiB = 1 << 20
QemuImg = Callable[..., bytes]
DATA = bytes(range(1, 256)) * 8192


@pytest.mark.parametrize("options", ["", "cluster_size=4096,table_size=2", "cluster_size=1M,table_size=16"])
def test_images_of_qemu_img_pass(qemu_img: QemuImg, options: str) -> None:
    words = ("-o", options) if options else ()
    for image in (qemu_img("qed", *words, size=MiB), qemu_img("qed", *words, data=DATA)):
        examination = examine(image)
        (match,) = examination.matches
        assert (match.name, match.disk_format) == ("qed", "qed")
        assert match.virtual_size in (MiB, len(DATA))
        assert not examination.findings


def test_backing_file_is_refused_and_named(qemu_img: QemuImg) -> None:
    image = qemu_img("qed", "-u", "-b", "/base.img", "-F", "raw")
    assert policies(examine(image)) == {"backing-file": "refuse"}
    assert fields(match_of(image, "qed"))["backing file"] == "/base.img"
    assert {"backing-file", "header"} <= codes(examine(patched(image, (60, le(4096, 4)))))
    assert {"backing-file", "header"} <= codes(examine(patched(image, (56, le(0xFFFFFFFF, 4)))))


@pytest.mark.parametrize(
    ("bits", "findings"),
    [(2, {"dirty": "warn"}), (8, {"unknown-feature": "refuse"}), (1 << 63, {"unknown-feature": "refuse"})],
)
def test_features_are_found(qemu_img: QemuImg, bits: int, findings: dict[str, str]) -> None:
    assert policies(examine(patched(qemu_img("qed"), (16, le(bits, 8))))) == findings


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (4, le(2048, 4), "header"),
        (4, le(65537, 4), "header"),
        (4, le(128 * MiB, 4), "header"),
        (8, le(0, 4), "header"),
        (8, le(3, 4), "header"),
        (8, le(32, 4), "header"),
        (12, le(0xFFFFFFFF, 4), "header"),
        (12, le(5, 4), "overlap"),
        (40, le(0, 8), "overlap"),
        (40, le(65537, 8), "header"),
        (40, le(1 << 40, 8), "outside-file"),
        (48, le(0, 8), "no-disk"),
        (48, le(MiB + 5, 8), "unaligned-size"),
        (48, le(1 << 62, 8), "virtual-size"),
        (65536, le(1 << 40, 8), "outside-file"),
        (65536, le(65537, 8), "header"),
        (65536, le(1 << 63, 8), "header"),
        (65536, le(2 * 65536, 8), "overlap"),
        (65536, le(5 * 65536, 8) * 2, "overlap"),
    ],
)
def test_contradictory_header_is_refused(qemu_img: QemuImg, at: int, value: bytes, code: str) -> None:
    assert code in codes(examine(patched(qemu_img("qed") + bytes(16 * 65536), (at, value))))


@pytest.mark.parametrize("size_known", [True, False])
def test_half_of_an_image_is_refused(qemu_img: QemuImg, size_known: bool) -> None:
    image = qemu_img("qed", data=DATA)
    assert policies(examine(image[: len(image) // 2], size_known=size_known)) == {"outside-file": "refuse"}


def test_zero_cluster_passes_and_a_cluster_in_the_header_is_refused(qemu_img: QemuImg) -> None:
    image = patched(qemu_img("qed") + bytes(4 * 65536), (65536, le(5 * 65536, 8)))
    assert not examine(patched(image, (5 * 65536, le(1, 8)))).findings
    assert "header" in codes(examine(patched(image, (5 * 65536, le(2, 8)))))
    assert codes(examine(patched(image, (5 * 65536, le(65536, 8))))) == {"overlap"}


@pytest.mark.parametrize("length", [4, 63])
def test_truncated_header_is_found(qemu_img: QemuImg, length: int) -> None:
    assert codes(examine(qemu_img("qed")[:length])) == {"truncated"}


SEEDS = [image for name, image in seeds().items() if name.startswith("qed")]

test_mutants_upset_nothing = header_mutants(lambda: SEEDS, 80)
