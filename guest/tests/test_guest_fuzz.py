"""A few hundred mutants of disks: nothing but the three exceptions, and what is recorded stays the same.

`make fuzz-guest` reads a million of all seeds, with bounds of time and memory.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
from guest_fuzz_changes import Mutator
from guest_fuzz_images import Image, Recorded, image_of, makers
from guest_fuzz_reading import read_all
from guest_fuzz_repair import repair

from douane_guest.budget import Budget
from douane_guest.guest import open_guest

KINDS = {
    "containers": ["qcow2", "qcow2-zstd-extended-L2", "qed-small", "vdi", "vhd-dynamic", "vhdx-dynamic", "vmdk-stream"],
    "devices": ["gpt", "mbr", "md-raid0", "md-raid1-1.2", "md-raid5-0.90", "md-raid10-n2"],
    "linux": ["ext4-inline", "ext-fast-commits", "xfs-small", "btrfs-log-everything", "btrfs-subvolumes"],
    "packed": ["squashfs-xz", "squashfs-zstd", "erofs-lz4-fragments", "erofs-zstd-packed", "iso-zisofs"],
    "windows": ["fat12", "fat32", "exfat", "iso-udf", "udf-sparing", "udf-201"],
}
MUTANTS = 100


@lru_cache(maxsize=1)
def seeds_of(kind: str) -> dict[str, Image]:
    return {name: make() for name, make in makers().items() if name in KINDS[kind]}


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_raise_nothing_and_end(kind: str) -> None:
    mutator = Mutator(seeds_of(kind), seed=1)
    unread = sum(bool(read_all(mutator.make(number).image).codes) for number in range(MUTANTS))
    assert 0 < unread < MUTANTS, "some are damaged, and others are read as a whole"


@pytest.mark.parametrize("kind", ["devices", "windows"])
def test_a_mutant_is_the_same_in_every_run(kind: str) -> None:
    seeds = seeds_of(kind)
    first, second = Mutator(seeds, 7), Mutator(dict(reversed(seeds.items())), 7)
    assert all(first.make(number).image.changed == second.make(number).image.changed for number in range(20))


def test_checksums_of_a_mutant_are_made_right_again() -> None:
    """Without that, most of the code behind a checksum would never see a mutant."""
    places = {
        "exfat": 0x100,
        "btrfs-subvolumes": (64 << 10) + 0x90,
        "erofs-zstd": 1024 + 100,
        "xfs-small": 200,
        "md-raid1-1.2": 2049 * 512 + 4096 + 40,
        "gpt": 512 + 60,
        "vhd-dynamic": 90,
        "vhdx-dynamic": (192 << 10) + 2000,
    }
    for name, place in places.items():
        image = makers()[name]()
        good = faults(image)
        image.pwrite(place, bytes([image.pread(place, 1)[0] ^ 1]))
        assert faults(image) != good, name
        repair(image, {place})
        assert not any("checksum" in why or "damaged" in why for why in faults(image) - good), name


def faults(image: Image) -> set[str]:
    return {part.why for part in open_guest(image, Budget(steps=1_000_000)).unread}


def test_an_image_in_memory_is_changed_in_its_copy_alone() -> None:
    image = image_of(bytes(5000) + b"x" * 5000)
    copy = image.copy()
    copy.pwrite(4090, b"changed over two blocks")
    copy.pwrite(9998, b"dropped")
    assert copy.bytes() == bytes(4090) + b"changed over two blocks" + (bytes(5000) + b"x" * 5000)[4113:9998] + b"dr"
    recorded = Recorded(image)
    assert recorded.pread(4090, 23) == bytes(23)
    assert recorded.ranges == {(4090, 23)}
