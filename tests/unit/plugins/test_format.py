"""The inspector `format` on images as tools make them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from douane.plugins.format import Format
from douane_plugin import Reject
from support.images import MIB, patched
from support.images.headers import luks, ploop
from support.images.iso import iso
from support.images.partitions import gpt_disk, mbr_disk, mbr_entry, mbr_sector
from support.plugin_runs import answer, as_image, cut

Make = Callable[..., bytes]

OVF = b"""<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:href="disk.img" ovf:id="file1"/></References>
<DiskSection><Info/><Disk ovf:capacity="8388608" ovf:diskId="disk1" ovf:fileRef="file1"/></DiskSection>
</Envelope>"""


def ova(disk: bytes) -> bytes:
    """An archive of a descriptor and a disk of 8 MiB."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (("machine.ovf", OVF), ("disk.img", disk)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


REAL = [
    ("qcow2", "qcow2", ()),
    ("qcow2", "qcow2", ("-o", "compat=0.10")),
    ("qcow2", "qcow2", ("-o", "cluster_size=512")),
    ("qcow2", "qcow2", ("-o", "cluster_size=2M,lazy_refcounts=on")),
    ("qcow2", "qcow2", ("-o", "extended_l2=on,cluster_size=128k")),
    ("qcow2", "qcow2", ("-o", "compression_type=zstd")),
    ("vmdk", "vmdk", ()),
    ("vmdk", "vmdk", ("-o", "subformat=streamOptimized")),
    ("vmdk", "vmdk", ("-o", "subformat=streamOptimized,adapter_type=lsilogic,hwversion=13")),
    ("vmdk", "vmdk", ("-o", "zeroed_grain=on")),
    ("vhdx", "vhdx", ()),
    ("vhdx", "vhdx", ("-o", "subformat=fixed")),
    ("vpc", "vhd", ("-o", "force_size=on")),
    ("vpc", "vhd", ("-o", "subformat=fixed,force_size=on")),
    ("vdi", "vdi", ()),
    ("vdi", "vdi", ("-o", "static=on")),
]


@pytest.mark.parametrize(("made_as", "name", "options"), REAL, ids=lambda value: "".join(value[-1:]) or None)
@pytest.mark.parametrize("size_known", [True, False])
@pytest.mark.parametrize("declared", [True, False])
def test_images_of_qemu_img_are_accepted_with_format_and_size(
    qemu_img: Make, made_as: str, name: str, options: tuple[str, ...], size_known: bool, declared: bool
) -> None:
    image = qemu_img(made_as, *options)
    outcome, properties = answer(
        Format(), image, size=len(image) if size_known else None, disk_format=name if declared else None
    )
    assert outcome == "accept"
    assert properties.pop("variant")
    assert properties == {"disk_format": name, "virtual_size": 8 * MIB, "container_format": "bare"}


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx", "vpc", "vdi"])
def test_an_image_full_of_data_is_accepted(qemu_img: Make, kind: str) -> None:
    data = bytes(range(256)) * 4096
    image = qemu_img(kind, *(("-o", "force_size=on") if kind == "vpc" else ()), data=data)
    outcome, properties = answer(Format(), image, size=len(image))
    assert (outcome, properties["virtual_size"]) == ("accept", MIB)


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx", "vpc", "vdi"])
@pytest.mark.parametrize("declared", ["raw", "ami", "iso", "qcow2", "vmdk", "ploop"])
def test_a_wrong_declared_disk_format_is_refused_by_name(qemu_img: Make, kind: str, declared: str) -> None:
    if kind == declared:
        kind = "vdi"
    image = qemu_img(kind)
    assert answer(Format(), image, size=len(image), disk_format=declared) == ("reject", "format-mismatch")


RAW: list[tuple[str, bytes, str | None]] = [
    ("zeros", bytes(MIB), None),
    ("one byte", b"x", None),
    ("an odd length", bytes(MIB + 3), None),
    ("text", b"just text, and more of it\n" * 1000, None),
    ("utf-8 text", ("a" * 600 + "\u00fc\n").encode() * 100, None),
    ("a partition", mbr_disk(mbr_entry(0x83, 2048, 4096), size=MIB), "mbr"),
    ("gpt", gpt_disk((64, 1983), size=MIB), "gpt"),
    ("a kernel with a boot signature", patched(b"\xea\x05" * (MIB // 2), (510, b"\x55\xaa")), None),
    ("ntfs", patched(bytes(MIB), (0, b"\xebR\x90NTFS    "), (21, b"\xf8"), (510, b"\x55\xaa")), None),
    ("a boot loader without partitions", patched(bytes(MIB), (0, b"\xfa\x31\xc0"), (510, b"\x55\xaa")), None),
]


@pytest.mark.parametrize(("image", "table"), [row[1:] for row in RAW], ids=[row[0] for row in RAW])
@pytest.mark.parametrize("declared", [None, "raw", "ami", "aki", "ari"])
@pytest.mark.parametrize("size_known", [True, False])
def test_a_raw_image_with_any_content_is_accepted(
    image: bytes, table: str | None, declared: str | None, size_known: bool
) -> None:
    size = len(image) if size_known else None
    outcome, properties = answer(Format(), image, size=size, disk_format=declared)
    assert outcome == "accept"
    assert properties["disk_format"] == "raw"
    assert properties["virtual_size"] == len(image)
    assert properties.get("partition_table") == table


@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ploop"])
def test_raw_bytes_declared_as_another_format_are_refused(declared: str) -> None:
    assert answer(Format(), bytes(MIB), size=MIB, disk_format=declared) == ("reject", "format-mismatch")


def test_an_iso_image_is_as_large_as_its_file() -> None:
    image = iso(64) + bytes(300)
    outcome, properties = answer(Format(), image, size=len(image), disk_format="iso")
    assert outcome == "accept"
    assert (properties["disk_format"], properties["virtual_size"]) == ("iso", len(image))


@pytest.mark.parametrize("declared", [None, "iso", "raw"])
@pytest.mark.parametrize(
    "table", [mbr_sector(mbr_entry(0x17, 0, 200)), mbr_sector(mbr_entry(0xEE, 1, 9), mbr_entry(0xEF, 8, 9))]
)
def test_an_iso_image_that_is_also_a_bootable_disk_is_normal(declared: str | None, table: bytes) -> None:
    image = iso(64, first=patched(table, (446 + 8, b"\1")))
    outcome, properties = answer(Format(), image, size=len(image), disk_format=declared)
    assert (outcome, properties["disk_format"]) == ("accept", "iso")


def test_a_plain_iso_image_is_no_disk() -> None:
    assert answer(Format(), iso(), size=None, disk_format="raw") == ("reject", "format-mismatch")


def test_udf_without_iso_9660_is_an_iso_image() -> None:
    image = patched(bytes(MIB), (0x8001, b"BEA01"), (0x8801, b"NSR02"), (0x9001, b"TEA01"))
    outcome, properties = answer(Format(), image, size=MIB, disk_format="iso")
    assert (outcome, properties["disk_format"]) == ("accept", "iso")


@pytest.mark.parametrize("declared", [None, "luks", "raw"])
@pytest.mark.parametrize("size", [MIB, None])
def test_an_encrypted_volume_is_as_large_as_its_payload(declared: str | None, size: int | None) -> None:
    outcome, properties = answer(Format(), luks(payload_sectors=8), size=size, disk_format=declared)
    assert outcome == "accept"
    assert (properties["disk_format"], properties["virtual_size"]) == ("luks", MIB - 8 * 512)


def test_a_parallels_image_is_identified_by_its_header() -> None:
    outcome, properties = answer(Format(), ploop(4096), size=MIB, disk_format="ploop")
    assert outcome == "accept"
    assert (properties["disk_format"], properties["virtual_size"]) == ("ploop", 4096 * 512)


def test_a_fixed_vhd_is_identified_by_its_last_sector_in_chunks_of_any_size(qemu_img: Make) -> None:
    image = qemu_img("vpc", "-o", "subformat=fixed,force_size=on", size=MIB)
    for last in (1, 100, 512, 1000):
        assert answer(Format(), cut(image, [len(image) - last]))[1]["disk_format"] == "vhd"


@pytest.mark.parametrize("declared", ["vhd", "vpc", None])
@pytest.mark.parametrize("size_known", [True, False])
def test_a_fixed_vhd_of_a_disk_with_partitions_is_a_vhd(qemu_img: Make, declared: str | None, size_known: bool) -> None:
    """Its beginning is that of any disk: that it is none is known at the end only."""
    image = qemu_img("vpc", "-o", "subformat=fixed,force_size=on", data=gpt_disk((64, 8127)))
    outcome, properties = answer(Format(), image, size=len(image) if size_known else None, disk_format=declared)
    assert (outcome, properties["disk_format"], properties["partition_table"]) == ("accept", "vhd", "gpt")
    assert answer(Format(), image, disk_format="raw") == ("reject", "format-mismatch")


def test_a_resized_vhd_has_its_current_size(qemu_img: Make) -> None:
    image = qemu_img("vpc", "-o", "force_size=on")
    footer = patched(image[:512], (48, (4 * MIB).to_bytes(8, "big")), (64, bytes(4)))
    footer = patched(footer, (64, (~sum(footer) & 0xFFFFFFFF).to_bytes(4, "big")))
    larger = patched(image, (0, footer), (len(image) - 512, footer))
    assert answer(Format(), larger, size=len(larger))[1]["virtual_size"] == 4 * MIB


def test_an_unknown_declared_disk_format_is_incomplete() -> None:
    assert answer(Format(), bytes(MIB), size=MIB, disk_format="zfs-stream") == ("incomplete", "format-unknown")


def test_an_ova_is_declared_with_the_disk_format_inside(qemu_img: Make) -> None:
    image = ova(qemu_img("vmdk", "-o", "subformat=streamOptimized"))
    outcome, properties = answer(Format(), image, size=len(image), disk_format="vmdk", container_format="ova")
    assert outcome == "accept"
    assert properties == {
        "disk_format": "raw",
        "detected": "ova",
        "container_format": "ova",
        "virtual_size": 8 * MIB,
        "variant": "1",
    }


def test_members_of_an_ova_are_judged(qemu_img: Make) -> None:
    disk = patched(qemu_img("qcow2"), (8, (512).to_bytes(8, "big")), (16, (9).to_bytes(4, "big")), (512, b"/etc/host"))
    image = ova(disk)
    assert answer(Format(), image, size=len(image), container_format="ova") == ("reject", "unsafe-backing-file")


@pytest.mark.parametrize("container", ["ova", "docker", "compressed"])
def test_a_wrong_declared_container_format_is_refused(container: str) -> None:
    facts = {"size": MIB, "disk_format": "vmdk", "container_format": container}
    assert answer(Format(), bytes(MIB), **facts) == ("reject", "format-mismatch")


def test_a_compressed_image_is_declared_with_the_disk_format_inside() -> None:
    image = b"\x1f\x8b\x08" + bytes(5000)
    facts: dict[str, Any] = {"size": len(image), "disk_format": "qcow2", "container_format": "compressed"}
    assert answer(Format(), image, **facts)[0] == "accept"


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx"])
def test_a_wrong_declaration_is_refused_after_a_mebibyte(qemu_img: Make, kind: str) -> None:
    handed, source = as_image(qemu_img(kind) + bytes(32 * MIB), size=None, disk_format="raw")
    with pytest.raises(Reject) as no:
        Format().inspect(handed)
    assert no.value.code == "format-mismatch"
    assert source.given_bytes <= MIB


@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "iso"])
def test_a_raw_image_declared_as_another_format_is_refused_after_a_mebibyte(declared: str) -> None:
    handed, source = as_image(bytes(32 * MIB), size=None, disk_format=declared)
    with pytest.raises(Reject):
        Format().inspect(handed)
    assert source.given_bytes <= MIB


def test_a_hostile_header_is_refused_after_a_mebibyte(qemu_img: Make) -> None:
    image = patched(qemu_img("qcow2"), (8, (512).to_bytes(8, "big")), (16, (9).to_bytes(4, "big"))) + bytes(32 * MIB)
    handed, source = as_image(image, size=None)
    with pytest.raises(Reject) as no:
        Format().inspect(handed)
    assert no.value.code == "unsafe-backing-file"
    assert source.given_bytes <= MIB


def test_a_format_that_is_not_allowed_is_refused_after_a_mebibyte(qemu_img: Make) -> None:
    handed, source = as_image(qemu_img("qed") + bytes(32 * MIB), size=None)
    with pytest.raises(Reject) as no:
        Format().inspect(handed)
    assert no.value.code == "format-not-allowed"
    assert source.given_bytes <= MIB


@pytest.mark.parametrize("large", [0, 4 * MIB])
def test_an_unsafe_finding_is_reported_before_a_wrong_declaration(qemu_img: Make, large: int) -> None:
    image = patched(qemu_img("qcow2"), (8, (512).to_bytes(8, "big")), (16, (9).to_bytes(4, "big"))) + bytes(large)
    assert answer(Format(), image, size=len(image), disk_format="raw") == ("reject", "unsafe-backing-file")
