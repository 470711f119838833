"""Arrays of md, made by mdadm and the driver: stored, so that no machine needs either."""

from __future__ import annotations

import random

import pytest
from volume_pattern import DATA, Members, Patched, members_of, pattern

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, Unsupported
from douane_guest.source import Source
from douane_guest.volumes.md import read_member
from douane_guest.volumes.md_arrays import assemble

ARRAYS = sorted(path.stem for path in DATA.glob("md-*.xz"))
BLOCK = 64 << 10
"""The pattern was written in whole blocks of this size."""


def read_all(windows, budget: Budget | None = None) -> bytes:
    members = [member for window in windows if (member := read_member(window)) is not None]
    source = assemble(members, budget or Budget())
    return source.pread(0, source.size)


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_has_the_size_and_the_bytes_that_the_driver_shows(name: str) -> None:
    array = members_of(name)
    data = read_all(reversed(array.windows))
    assert len(data) == array.size
    written = array.size // BLOCK * BLOCK
    assert data[:written] == pattern(0, written)


@pytest.mark.parametrize(
    "name", [name for name in ARRAYS if "raid1" in name or "raid4" in name or "raid5" in name or "raid6" in name]
)
@pytest.mark.parametrize("missing", [0, 2])
def test_an_array_is_read_without_a_member_that_its_redundancy_replaces(name: str, missing: int) -> None:
    array = members_of(name)
    windows = [window for index, window in enumerate(array.windows) if index != missing % len(array.windows)]
    written = array.size // BLOCK * BLOCK
    assert read_all(windows)[:written] == pattern(0, written)


@pytest.mark.parametrize("name", [name for name in ARRAYS if "raid0" in name or "linear" in name])
def test_an_array_without_redundancy_is_unread_without_a_member(name: str) -> None:
    with pytest.raises(Unsupported, match="not on this disk"):
        read_all(members_of(name).windows[1:])


def changed(array: Members, member: int, offset: int, data: bytes) -> list[Source]:
    """The members with other bytes in one of them."""
    windows: list[Source] = list(array.windows)
    windows[member] = Patched(windows[member], {offset: data})
    return windows


@pytest.mark.parametrize("name", ["md-raid1-1.0", "md-raid10-n2"])
def test_copies_with_different_bytes_are_a_contradiction(name: str) -> None:
    array = members_of(name)
    place = array.windows[1].pread(0, array.windows[1].size).index(pattern(128 << 10, 512))
    with pytest.raises(Broken, match="different bytes"):
        read_all(changed(array, 1, place, b"other"))


def test_a_superblock_with_a_wrong_checksum_is_broken() -> None:
    array = members_of("md-raid1-1.2")
    with pytest.raises(Broken, match="checksum"):
        read_member(changed(array, 0, 4096 + 72, b"\5")[0])


def test_the_same_member_twice_is_broken() -> None:
    windows = members_of("md-raid1-1.2").windows
    with pytest.raises(Broken, match="two members"):
        read_all([windows[0], windows[0]])


@pytest.mark.parametrize("name", ["md-raid5-ls", "md-raid10-o2", "md-raid0-zones-1", "md-raid1-0.90", "md-linear"])
def test_mutants_raise_the_three_exceptions_alone(name: str) -> None:
    chance = random.Random(17)
    array = members_of(name)
    versions = [read_member(window).version for window in array.windows]
    for _ in range(60):
        windows = []
        for window, version in zip(array.windows, versions, strict=True):
            start = {"1.1": 0, "1.2": 4096, "0.90": (window.size & ~0xFFFF) - 0x10000}.get(version, window.size - 8192)
            content = bytearray(window.pread(start, 4096))
            for _ in range(chance.randrange(3)):
                content[chance.randrange(300)] = chance.randrange(256)
            fix_checksum(content, 0, version)
            windows.append(Patched(window, {start: bytes(content)}))
        budget = Budget(steps=100_000)
        try:
            members = [member for window in windows if (member := read_member(window)) is not None]
            if members:
                result = assemble(members, budget)
                result.pread(0, min(result.size, 1 << 18))
        except GuestError:
            continue


def fix_checksum(content: bytearray, start: int, version: str) -> None:
    """So that a mutant is not refused by its checksum alone."""
    if version == "0.90":
        place, end = start + 152, start + 4096
    else:
        place, end = start + 216, start + 256 + 2 * int.from_bytes(content[start + 220 : start + 224], "little")
    content[place : place + 4] = bytes(4)
    words = content[start : min(end, start + 4096)]
    total = sum(int.from_bytes(words[at : at + 4], "little") for at in range(0, len(words), 4))
    content[place : place + 4] = ((total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF).to_bytes(4, "little")
