"""What lies in the data area of a container is its content, and no second format; elsewhere it is one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examination import codes, examine, examine_sparse, names, policies
from support.images import MIB, padded, patched
from support.images.containers import CONTAINERS, DISKS, convert
from support.images.iso import BLOCK, disc, iso, volume_blocks
from support.images.partitions import gpt_disk, mbr_entry, mbr_sector
from support.images.qcow2 import handmade
from support.images.tar import END, tar_header, tar_member, with_checksum
from support.sizes import ALL

SIZES = (40, 120, 450, 600, 700, 1450)
"""MiB: the block of a VHD begins at 3584 from 513 to 768, that of a VDI from 641 to 768; the first cluster of a qcow2
with clusters of 512, 1024 and 2048 bytes is at 32 KiB with 120, 450 and 1450."""

EVERY_SIZE = (*SIZES, 1, *range(64, 2048, 64))
SECTOR_16 = 16 * BLOCK
ISO = iso(40)
BOTH_WAYS = {"all", "iso", "hybrid-iso", "bootless-iso", "udf", "tar"}
"""Disks that a fixed VHD does not hide: it has no header, so that its file is both."""


def warned_or_refused(path: Path) -> set[str]:
    return {code for code, worth in policies(examine_sparse(path)).items() if worth != "pass"}


@pytest.mark.parametrize("container", CONTAINERS)
def test_content_of_a_container_is_no_second_format(tmp_path: Path, container: str) -> None:
    disks = DISKS if ALL else ("all", "gpt", "bootless-iso")
    for name, size in itertools.product(disks, EVERY_SIZE if ALL else SIZES[1::2]):
        if (container == "vhd-fixed" and name in BOTH_WAYS | {"zip", "fixed-vhd"}) or (size == 1 and name == "gpt"):
            continue
        DISKS[name](tmp_path / "disk", size * MIB)
        image = convert(tmp_path / "disk", tmp_path / "image", container)
        assert warned_or_refused(image) <= ({"partition-table"} if size == 1 else set()), (name, size)
        (tmp_path / "disk").unlink()
        image.unlink()


@pytest.mark.parametrize("disk", sorted(BOTH_WAYS))
def test_fixed_vhd_of_a_disc_or_an_archive_is_both(tmp_path: Path, disk: str) -> None:
    DISKS[disk](tmp_path / "disk", 4 * MIB)
    assert "ambiguous" in warned_or_refused(convert(tmp_path / "disk", tmp_path / "image", "vhd-fixed"))


def test_content_that_looks_like_a_format_is_reported(tmp_path: Path) -> None:
    DISKS["gpt"](tmp_path / "disk", 600 * MIB)
    examination = examine_sparse(convert(tmp_path / "disk", tmp_path / "image", "vhd"))
    assert names(examination) == ["vhd"]
    (finding,) = examination.findings
    assert (finding.code, finding.format, finding.offset) == ("format-in-data", "vhd", 4096)
    assert finding.detail == "at 4096 its content looks like gpt to programs that ignore that it is vhd"


# an ISO at the place in the file where every reader of ISOs looks

CLUSTER = 512
FIRST = SECTOR_16 // CLUSTER


def qcow2_with_an_iso(entries: list[int]) -> bytes:
    """A qcow2 with clusters of 512 bytes whose file is an ISO, too. `entries` is the table of its clusters."""
    image = handmade([4 * CLUSTER], {4: entries}, len(ISO) // CLUSTER)
    return image[:SECTOR_16] + ISO[SECTOR_16:]


CLUSTERS = [at * CLUSTER for at in range(FIRST, FIRST + 48)]


def test_iso_in_clusters_of_a_qcow2_is_its_content() -> None:
    examination = examine(qcow2_with_an_iso(CLUSTERS))
    assert names(examination) == ["qcow2"]
    assert codes(examination) == {"format-in-data"}


@pytest.mark.parametrize(
    ("entries", "also"),
    [
        ([], set()),  # clusters that no table names
        (CLUSTERS[4:], set()),  # among them the one with the volume descriptor
        ([at | 1 for at in CLUSTERS], set()),  # clusters that read as zeros
        ([at + 8 * CLUSTER for at in CLUSTERS], set()),
        ([3 * CLUSTER, *CLUSTERS], {"overlap"}),  # tables that contradict themselves
    ],
    ids=["unused", "first", "zeros", "later", "overlap"],
)
def test_iso_in_the_unused_space_of_a_qcow2_is_refused(entries: list[int], also: set[str]) -> None:
    examination = examine(qcow2_with_an_iso(entries))
    assert names(examination) == ["qcow2", "iso"]
    assert codes(examination) == {"ambiguous"} | also


@given(st.sets(st.integers(5, 70), max_size=64), st.sets(st.integers(5, 70), max_size=10), st.booleans())
def test_iso_is_content_exactly_if_the_guest_reads_its_first_cluster(
    data: set[int], zeros: set[int], size_known: bool
) -> None:
    entries = [at * CLUSTER | (at in zeros) for at in sorted(data)]
    examination = examine(qcow2_with_an_iso(entries), size_known=size_known, cut=10000)
    assert names(examination) == (["qcow2"] if FIRST in data - zeros else ["qcow2", "iso"])
    assert codes(examination) == ({"format-in-data"} if FIRST in data - zeros else {"ambiguous"})


@pytest.mark.parametrize("kind", ["qcow2", "qcow2-4096", "vmdk", "vdi", "vpc", "qed", "parallels", "vhdx"])
def test_iso_in_the_padding_of_a_disk_is_refused(qemu_img: Callable[..., bytes], kind: str) -> None:
    form, _, cluster = kind.partition("-")
    options = ("-o", f"cluster_size={cluster}") if cluster else ()
    disk = qemu_img(form, *options)
    image = disk.ljust(len(ISO), b"\0")
    begin = SECTOR_16
    examination = examine(patched(image, (begin, ISO[begin : begin + 5 * BLOCK])))
    assert names(examination)[1:] == ["iso"]
    assert "ambiguous" in codes(examination)


@pytest.mark.parametrize("size_known", [True, False])
def test_verdict_waits_for_the_tables(size_known: bool) -> None:
    # the second-level table is behind the cluster with the volume descriptor
    table = len(ISO) // CLUSTER
    image = handmade([table * CLUSTER], {table: CLUSTERS}, table + 1)
    image = image[:SECTOR_16] + ISO[SECTOR_16:] + image[len(ISO) :]
    examination = examine(image, size_known=size_known, cut=5000)
    assert (names(examination), codes(examination)) == (["qcow2"], {"format-in-data"})


@pytest.mark.parametrize("kind", ["vpc", "qcow2", "vdi", "vmdk"])
def test_boot_sector_in_the_header_of_a_disk_is_refused(tmp_path: Path, kind: str) -> None:
    DISKS["gpt"](tmp_path / "disk", 600 * MIB)
    image = convert(
        tmp_path / "disk", tmp_path / "image", {"vpc": "vhd"}.get(kind, kind.replace("qcow2", "qcow2-4096"))
    )
    with image.open("r+b") as file:
        file.seek(446)
        file.write(mbr_sector(mbr_entry(0x83, 2048, 100))[446:])
    assert "ambiguous" in warned_or_refused(image)


def test_growing_vhd_at_the_end_of_the_data_is_refused(tmp_path: Path, qemu_img: Callable[..., bytes]) -> None:
    # Hyper-V and Azure look for the footer, and no further
    disk = bytes(4 * MIB - MIB) + b"\1" * (MIB - 512) + qemu_img("vpc")[-512:]
    (tmp_path / "disk").write_bytes(disk)
    for container in ("qcow2-65536", "vdi", "vmdk", "parallels"):
        image = convert(tmp_path / "disk", tmp_path / "image", container)
        assert "ambiguous" in warned_or_refused(image), container


# archives: a hypervisor may give the file to a guest

RAW_DISKS = {
    "gpt": gpt_disk((100, 200), size=MIB),
    "iso": ISO,
    "lvm2": DISKS["lvm2"],
    "swap": bytes(4086) + b"SWAPSPACE2",
    "ufs": bytes(9564) + b"\x54\x19\x01\0",
    "reiserfs": bytes(8244) + b"ReIsEr2Fs",
    "mdraid": b"\xfc\x4e\x2b\xa9".ljust(4096, b"\1"),
    "ocfs2": bytes(1024) + b"OCFSV2",
}


@pytest.mark.parametrize("name", RAW_DISKS)
def test_raw_disk_in_an_archive_is_no_second_format(tmp_path: Path, name: str) -> None:
    disk = RAW_DISKS[name]
    if callable(disk):
        disk(tmp_path / "disk", MIB)
        disk = (tmp_path / "disk").read_bytes()
    disk = disk.ljust(128 << 10, b"\0")
    looks = 0
    for sectors in range(136):
        members = (tar_member(b"pad", bytes(sectors * 512)) if sectors else b"") + tar_member(b"disk.img", disk)
        examination = examine(members + END)
        assert names(examination) == ["tar"], sectors
        assert codes(examination) <= {"ovf", "format-in-data"}, sectors
        looks += "format-in-data" in codes(examination)
    assert looks  # at some of the places


def test_archive_whose_file_is_an_iso_is_refused() -> None:
    # the member covers the ISO of the file, but is no ISO itself
    begin = tar_header(b"disk.img", len(ISO) - 512)
    examination = examine(begin + ISO[512:] + END)
    assert set(names(examination)) == {"tar", "iso"}
    assert "ambiguous" in codes(examination)


def test_disc_with_two_root_directories_in_an_archive_is_refused() -> None:
    # one volume descriptor, which Linux finds in any sector; the member has its root directory, and the file another
    member = disc([*volume_blocks(60), (19, dict(volume_blocks(60))[20])], 60)
    image = tar_member(b"pad", bytes(BLOCK - 1024)) + tar_header(b"disk.img", len(member)) + member
    assert image.index(b"\1CD001") == SECTOR_16 + BLOCK
    examination = examine(image + END)
    assert set(names(examination)) == {"tar", "iso"}
    assert "ambiguous" in codes(examination)


def test_partition_table_in_the_header_of_an_archive_is_refused() -> None:
    header = patched(tar_header(b"disk.img", MIB), (257, bytes(8)), (446, mbr_sector(mbr_entry(0x83, 1, 100))[446:]))
    examination = examine(with_checksum(header) + padded(b"\1" * MIB) + END)
    assert set(names(examination)) == {"tar", "mbr"}
    assert "ambiguous" in codes(examination)


def test_truncated_archive_is_truncated_and_nothing_else() -> None:
    image = tar_member(b"pad", bytes(512)) + tar_header(b"disk.img", 2 * len(ISO)) + bytes(512) + ISO
    examination = examine(image)
    assert codes(examination) >= {"truncated"}
