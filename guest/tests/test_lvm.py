"""Logical volumes, made by LVM and the device mapper: stored, so that no machine needs either."""

from __future__ import annotations

import hashlib
import random
import re
import zlib

import pytest
from volume_pattern import Patched, members_of, pattern

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, TooMuch, Unsupported
from douane_guest.source import Source
from douane_guest.volumes.lvm.group import parse_group, read_groups
from douane_guest.volumes.lvm.label import read_label
from douane_guest.volumes.lvm.text import parse
from douane_guest.volumes.lvm.volumes import GroupVolumes

MIB = 1 << 20
SIZES = {
    "linear": 5,
    "striped": 3,
    "mirror": 1,
    "raid0": 3,
    "raid1": 1,
    "raid4": 2,
    "raid5": 3,
    "raid5_ra": 3,
    "raid6": 3,
    "raid6_nc": 3,
    "raid10": 2,
}


def volumes_of(windows, budget: Budget | None = None) -> dict[str, Source | GuestError]:
    budget = budget or Budget()
    physical = [volume for window in windows if (volume := read_label(window, budget)) is not None]
    volumes = {}
    for group in read_groups(physical, budget):
        volumes |= dict(GroupVolumes(group, physical, budget).visible())
    return volumes


@pytest.fixture(scope="module")
def volumes() -> dict[str, Source | GuestError]:
    return volumes_of(members_of("lvm").windows)


@pytest.mark.parametrize("name", SIZES)
def test_a_volume_has_the_bytes_that_the_device_mapper_shows(volumes, name: str) -> None:
    source = volumes[f"guest-vg/{name}"]
    assert source.size == SIZES[name] * MIB
    assert source.pread(0, source.size) == pattern(0, source.size)
    assert source.pread(511, 100_001) == pattern(0, 200 * 512)[511:][:100_001]


def test_a_thin_volume_has_what_was_written_and_zeros(volumes) -> None:
    source = volumes["guest-vg/thin"]
    assert source.size == 63 * MIB
    for number in range(63):
        expected = pattern(number * MIB, MIB) if number in (0, 3, 5, 9, 62) else bytes(MIB)
        assert source.pread(number * MIB, MIB) == expected, number
    digest = hashlib.md5(source.pread(0, source.size)).hexdigest()
    assert digest == "35d6cbfaf7efbcb2c711f04f11b0be17", "as md5sum of the device in the guest"


def test_a_snapshot_of_a_thin_volume_has_what_was_there_before(volumes) -> None:
    source = volumes["guest-vg/thin_snapshot"]
    assert source.pread(9 * MIB, MIB) == bytes(MIB)
    assert source.pread(3 * MIB, MIB) == pattern(3 * MIB, MIB)


def test_parts_of_volumes_are_no_volumes(volumes) -> None:
    assert not [name for name in volumes if "_r" in name.replace("raid5_ra", "") or "_t" in name.replace("thin_s", "")]
    assert "guest-vg/pool" not in volumes


def test_a_volume_on_a_device_that_is_elsewhere_is_unread() -> None:
    volumes = volumes_of(members_of("lvm").windows[:3])
    assert isinstance(volumes["guest-vg/linear"], Unsupported)
    assert volumes["guest-vg/striped"].size == 3 * MIB


def with_text(change) -> list[Patched]:
    """The devices with another text in the metadata of each."""
    windows = []
    for window in members_of("lvm").windows:
        head = bytearray(window.pread(4096, 512))
        offset, count, size = (int.from_bytes(head[at : at + 8], "little") for at in (40, 48, 32))
        text = change(window.pread(4096 + offset, count))[: size - offset]
        head[48:56] = len(text).to_bytes(8, "little")
        head[56:60] = crc(text).to_bytes(4, "little")
        head[:4] = crc(bytes(head[4:])).to_bytes(4, "little")
        windows.append(Patched(window, {4096: bytes(head), 4096 + offset: text}))
    return windows


def crc(data: bytes) -> int:
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def test_a_text_that_is_changed_by_a_test_is_read() -> None:
    volumes = volumes_of(with_text(lambda text: text.replace(b"striped {", b"renamed {")))
    assert "guest-vg/renamed" in volumes


def test_a_volume_that_is_made_of_itself_is_broken() -> None:
    volumes = volumes_of(
        with_text(
            lambda text: text.replace(b'"raid1_rimage_0", 0', b'"raid1", 0').replace(b'"raid1_rimage_0"', b'"raid1"')
        )
    )
    assert isinstance(volumes["guest-vg/raid1"], Broken)


@pytest.mark.parametrize(("field", "origin_code"), [("cow_store", ""), ("merging_store", "guest-unclean")])
def test_a_snapshot_is_unread_and_so_is_an_origin_into_which_it_is_merged(field: str, origin_code: str) -> None:
    section = (
        'snapshot0 { status = ["READ", "WRITE", "VISIBLE"] segment_count = 1 segment1 { start_extent = 0 '
        f'extent_count = 1 type = "snapshot" origin = "origin" {field} = "striped" }} }}'
    )
    volumes = volumes_of(with_text(lambda text: text.replace(b"linear {", section.encode() + b" linear {", 1)))
    assert "guest-vg/snapshot0" not in volumes
    assert isinstance(volumes["guest-vg/striped"], Unsupported)
    assert getattr(volumes["guest-vg/origin"], "code", "") == origin_code


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        *(("cache", "cached"), ("writecache", "writes are cached"), ("vdo", "VDO"), ("integrity", "checksums")),
        *(("error", "error"), ("other", "'other'")),
    ],
)
def test_volumes_with_caches_and_other_layers_are_told_with_their_reason(kind: str, why: str) -> None:
    section = re.compile(rb'(\bstriped \{.*?type = )"striped"', re.DOTALL)
    volumes = volumes_of(with_text(lambda text: section.sub(rb'\1"%s"' % kind.encode(), text, count=1)))
    volume = volumes["guest-vg/striped"]
    assert isinstance(volume, Unsupported)
    assert why in volume.why
    assert not isinstance(volumes["guest-vg/linear"], GuestError)


def test_devices_that_describe_the_group_differently_are_broken() -> None:
    counter = iter(range(100))
    windows = with_text(lambda text: text.replace(b"striped {", b"str%d {" % next(counter)))
    with pytest.raises(Broken, match="differently"):
        volumes_of(windows)


def test_a_million_segments_are_too_much() -> None:
    volumes = b"physical_volumes { } logical_volumes { v { segment_count = 1000000 } }"
    text = b'g { id = "x" seqno = 1 extent_size = 8 ' + volumes + b" }"
    with pytest.raises(TooMuch):
        parse_group(text, Budget())


def test_the_text_of_a_million_segments_is_bounded_by_steps() -> None:
    text = b"".join(b"segment%d { }\n" % number for number in range(200_000))
    with pytest.raises(TooMuch):
        parse(text, Budget(steps=10_000))


def test_the_text_of_a_million_values_is_too_much() -> None:
    with pytest.raises(TooMuch, match="values"):
        parse(b"l = [" + b"1," * 401_000 + b"1]", Budget())


@pytest.mark.parametrize(
    "text",
    [
        b"a = ",
        b"a = [1, ",
        b"a { b = 1",
        b"}",
        b"a b",
        b'a = "x',
        b"a = 1 a = 2",
        b"a { " * 20,
        b"\xff",
        b"= 1",
        b"a = " + b"9" * 30,
    ],
)
def test_a_text_that_is_none_is_broken(text: bytes) -> None:
    with pytest.raises(Broken):
        parse(text, Budget())


def test_mutants_raise_the_three_exceptions_alone() -> None:
    chance = random.Random(17)

    def mutate(text: bytes) -> bytes:
        content = bytearray(text)
        for _ in range(chance.randrange(1, 8)):
            content[chance.randrange(len(content))] = chance.choice(b'0123456789{}[]=," abcr')
        return bytes(content)

    for _ in range(40):
        windows = with_text(mutate)[:1]
        try:
            for source in volumes_of(windows, Budget(steps=300_000)).values():
                if not isinstance(source, GuestError):
                    try_read(source)
        except GuestError:
            continue


def test_mutants_of_thin_metadata_raise_the_three_exceptions_alone(volumes) -> None:
    chance = random.Random(17)
    windows = members_of("lvm").windows
    pool = windows[0].pread(0, windows[0].size).index((27022010).to_bytes(8, "little")) - 32
    for _ in range(100):
        patches = {
            pool + chance.randrange(512 if chance.random() < 0.5 else 40 * 4096): chance.randbytes(1)
            for _ in range(chance.randrange(1, 16))
        }
        try:
            thin = volumes_of([Patched(windows[0], patches), *windows[1:]], Budget(steps=300_000))["guest-vg/thin"]
        except GuestError:
            continue
        if not isinstance(thin, GuestError):
            try_read(thin)


def try_read(source: Source) -> None:
    for start in range(0, source.size, 2 * MIB):
        try:
            source.pread(start, min(4096, source.size - start))
        except GuestError:
            continue
