"""The inspector `limits`: sizes, formats and containers."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.limits import Limits
from douane_plugin import Reject
from douane_plugin._units import MAX_SIZE, parse_size, show_exact_size
from support.images import MIB, patched
from support.images.headers import luks
from support.images.iso import iso
from support.images.ova import disk, file, ova, ovf
from support.images.partitions import mbr_disk, mbr_entry
from support.images.tar import tar
from support.plugin_runs import answer, as_image

Make = Callable[..., bytes]


def refusal(plugin: Limits, chunks: Any, **facts: Any) -> tuple[Reject, int]:
    """The refusal, and how many bytes were read for it."""
    image, source = as_image(chunks, **facts)
    with pytest.raises(Reject) as refused:
        plugin.inspect(image)
    return refused.value, source.given_bytes


def test_without_a_limit_every_image_passes() -> None:
    assert answer(Limits(), b"x" * MIB, size=MIB) == ("accept", None)


def test_an_image_of_a_known_excessive_size_is_refused_before_its_first_byte() -> None:
    refused, read = refusal(Limits(max_size="1MiB"), bytes(2 * MIB), size=3 * MIB // 2)
    assert (refused.code, read) == ("too-large", 0)
    assert "1.5 MiB" in refused.message
    assert "1 MiB" in refused.message


def test_an_image_is_refused_as_soon_as_it_exceeds_the_limit() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(MIB)

    refused, read = refusal(Limits(max_size=10 * MIB), endless())
    assert (refused.code, read) == ("too-large", 11 * MIB)


def test_an_image_longer_than_declared_is_refused() -> None:
    assert answer(Limits(max_size=MIB), bytes(2 * MIB), size=MIB) == ("reject", "too-large")


def test_an_image_of_exactly_the_limit_passes() -> None:
    assert answer(Limits(max_size=MIB), bytes(MIB), size=MIB)[0] == "accept"
    assert answer(Limits(max_size=MIB), bytes(MIB))[0] == "accept"


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx", "vpc", "vdi"])
def test_a_small_file_with_a_large_disk_is_refused(qemu_img: Make, kind: str) -> None:
    options = ("-o", "force_size=on") if kind == "vpc" else ()
    image = qemu_img(kind, *options, size=64 << 30)
    plugin = Limits(max_virtual_size="10GiB")
    refused, _ = refusal(plugin, image, size=len(image))
    assert refused.code == "virtual-size-too-large"
    assert "64 GiB" in refused.message
    assert "10 GiB" in refused.message
    assert answer(Limits(max_virtual_size="64GiB"), image, size=len(image)) == ("accept", None)


def test_a_raw_image_is_as_large_as_its_file() -> None:
    assert answer(Limits(max_virtual_size=MIB), bytes(MIB + 1), size=MIB + 1) == ("reject", "virtual-size-too-large")
    assert answer(Limits(max_virtual_size=MIB), bytes(MIB + 1)) == ("reject", "virtual-size-too-large")
    assert answer(Limits(max_virtual_size=MIB), bytes(MIB), size=MIB) == ("accept", None)


def test_a_disk_of_unknown_size_is_incomplete() -> None:
    packed = gzip.compress(bytes(MIB))
    assert answer(Limits(max_virtual_size=MIB), packed, size=len(packed)) == ("incomplete", "virtual-size-unknown")


def test_an_image_that_ends_in_its_header_is_incomplete(qemu_img: Make) -> None:
    short = qemu_img("qcow2")[:100]
    assert answer(Limits(max_virtual_size="1GiB"), short) == ("incomplete", "truncated")


def test_an_enormous_size_is_too_large(qemu_img: Make) -> None:
    image = patched(qemu_img("vdi"), (0x170, b"\xff" * 8))
    assert answer(Limits(max_virtual_size="1GiB"), image) == ("reject", "virtual-size-too-large")


def test_disk_in_an_ova_is_as_large_as_its_own_header_says(qemu_img: Make) -> None:
    image = qemu_img("vmdk", size=500 << 30)
    appliance = ova(("disk.vmdk", image), descriptor=ovf(disks=disk(capacity=1, capacityAllocationUnits="byte * 2^20")))
    assert answer(Limits(max_virtual_size="10GiB"), appliance) == ("reject", "virtual-size-too-large")
    assert answer(Limits(max_virtual_size="500GiB"), appliance) == ("accept", None)


def test_capacity_of_a_compressed_disk_is_not_believed(qemu_img: Make) -> None:
    files = file(compression="gzip")
    packed = gzip.compress(qemu_img("vmdk", size=500 << 30))
    appliance = ova(
        ("disk.vmdk", packed), descriptor=ovf(files, disk(capacity=1, capacityAllocationUnits="byte * 2^20"))
    )
    assert answer(Limits(max_virtual_size="10GiB"), appliance) == ("incomplete", "virtual-size-unknown")


def test_only_the_formats_of_the_list_pass(qemu_img: Make) -> None:
    plugin = Limits(formats=["raw", "qcow2"])
    assert answer(plugin, qemu_img("qcow2")) == ("accept", None)
    assert answer(plugin, mbr_disk(mbr_entry(0x83, 9, 9), size=MIB), disk_format="raw") == ("accept", None)
    refused, _ = refusal(plugin, qemu_img("vmdk"), disk_format="raw")
    assert refused.code == "format-not-allowed"
    assert "vmdk" in refused.message
    assert "raw, qcow2" in refused.message


def test_a_fixed_vhd_is_a_vhd_and_no_raw_disk(qemu_img: Make) -> None:
    image = qemu_img("vpc", "-o", "subformat=fixed,force_size=on")
    assert answer(Limits(formats=["vhd"]), image, size=len(image)) == ("accept", None)
    assert answer(Limits(formats=["raw"]), image, size=len(image)) == ("reject", "format-not-allowed")


def test_a_format_may_be_listed_by_any_of_its_names() -> None:
    assert answer(Limits(formats=["ami"]), bytes(MIB)) == ("accept", None)


def test_two_formats_in_one_file_are_incomplete(qemu_img: Make) -> None:
    image = iso(64, first=qemu_img("qcow2")[:4096])
    assert answer(Limits(formats=["iso", "qcow2"]), image) == ("incomplete", "format-ambiguous")


def test_only_the_containers_of_the_list_pass() -> None:
    plugin = Limits(containers=["bare"])
    ova = tar(("machine.ovf", b""))
    assert answer(plugin, bytes(MIB), container_format="bare") == ("accept", None)
    assert answer(plugin, bytes(MIB)) == ("accept", None)
    assert answer(plugin, bytes(MIB), container_format="docker") == ("reject", "container-not-allowed")
    assert answer(plugin, ova, size=len(ova)) == ("reject", "container-not-allowed")
    assert answer(Limits(containers=["ova"]), ova, size=len(ova)) == ("accept", None)


def test_an_ova_declared_as_bare_is_still_an_ova() -> None:
    ova = tar(("machine.ovf", b""))
    assert answer(Limits(containers=["bare"]), ova, container_format="bare") == ("reject", "container-not-allowed")


@pytest.mark.parametrize(
    "config",
    [
        {"max_size": "10 gibis"},
        {"max_size": 0},
        {"max_virtual_size": "-1GiB"},
        {"max_virtual_size": ""},
        {"formats": []},
        {"formats": [""]},
        {"containers": []},
    ],
)
def test_a_configuration_error_names_the_key(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(config))}'"):
        Limits(**config)


@pytest.mark.parametrize(
    ("written", "size"),
    [("1", 1), ("10GiB", 10 << 30), ("10 gib", 10 << 30), ("1.5MiB", 3 << 19), ("2GB", 2 * 10**9), ("1PiB", 1 << 50)],
)
def test_sizes_may_have_units(written: str, size: int) -> None:
    assert parse_size(written, "max_size") == size


@given(st.integers(1, MAX_SIZE))
def test_a_displayed_size_has_the_exact_number_of_bytes(size: int) -> None:
    text = show_exact_size(size)
    assert f"({size} bytes)" in text or parse_size(text.removesuffix("ytes").removesuffix("yte")) == size


def test_an_encrypted_image_is_as_large_as_its_file() -> None:
    """A guest may get it as a raw disk. The disk that is encrypted in it may be smaller by any amount."""
    image = luks()
    assert answer(Limits(max_virtual_size=len(image)), image)[0] == "accept"
    assert answer(Limits(max_virtual_size=len(image) - 1), image) == ("reject", "virtual-size-too-large")
