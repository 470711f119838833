"""The inspector `oslo-format` has the verdict of oslo.utils."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from douane.plugins.oslo_format import OsloFormat
from support.images import MIB, patched
from support.images.iso import iso
from support.images.partitions import gpt_disk
from support.plugin_runs import answer, cut

Make = Callable[..., bytes]


@pytest.mark.parametrize(
    ("made_as", "name"), [("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vhdx", "vhdx"), ("vpc", "vhd"), ("vdi", "vdi")]
)
def test_images_of_qemu_img_are_accepted(qemu_img: Make, made_as: str, name: str) -> None:
    image = qemu_img(made_as, *(("-o", "force_size=on") if made_as == "vpc" else ()))
    outcome, properties = answer(OsloFormat(), image, size=len(image))
    assert (outcome, properties["format"], properties["virtual_size"]) == ("accept", name, 8 * MIB)


@pytest.mark.parametrize(
    "image", [bytes(MIB), gpt_disk((64, 1983), size=MIB), b"x", b""], ids=["zeros", "gpt", "a byte", "nothing"]
)
def test_raw_images_are_accepted(image: bytes) -> None:
    assert answer(OsloFormat(), image)[0] == "accept"


def test_an_iso_is_accepted() -> None:
    assert answer(OsloFormat(), iso(64)) == ("accept", {"format": "iso", "virtual_size": len(iso(64))})


def test_a_backing_file_is_refused_unless_ignored(qemu_img: Make) -> None:
    image = patched(qemu_img("qcow2"), (8, (512).to_bytes(8, "big")), (16, (9).to_bytes(4, "big")))
    assert answer(OsloFormat(), image) == ("reject", "oslo-unsafe")
    assert answer(OsloFormat(ignore=["backing_file"]), image)[0] == "accept"


def test_two_formats_are_refused(qemu_img: Make) -> None:
    image = bytearray(iso(64))
    image[:512] = qemu_img("qcow2")[:512]
    assert answer(OsloFormat(), bytes(image)) == ("reject", "oslo-ambiguous")


def test_an_image_that_ends_in_its_header_is_incomplete(qemu_img: Make) -> None:
    assert answer(OsloFormat(), qemu_img("vhdx")[: 200 << 10]) == ("incomplete", "oslo-failed")


@pytest.mark.parametrize("kind", ["vmdk", "vhdx", "qcow2"])
def test_the_verdict_is_the_same_for_all_chunk_sizes(qemu_img: Make, kind: str) -> None:
    image = qemu_img(kind)
    expected = answer(OsloFormat(), image)
    for at in ([1], [512, 513], [65_535], [65_537, 262_144]):
        assert answer(OsloFormat(), cut(image, at)) == expected
