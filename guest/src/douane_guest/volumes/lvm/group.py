"""A volume group as its text describes it: typed, and checked as far as one text can be."""

from __future__ import annotations

from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch

from .label import SECTOR, PhysicalVolume
from .text import Section, Value, parse

MAX_SEGMENTS = 100_000
"""Of all volumes of a group together."""
MAX_EXTENT = 1 << 40


class Area(NamedTuple):
    """Extents of a physical or of a logical volume, by its name."""

    name: str
    extent: int


class Segment(NamedTuple):
    """A range of the extents of a logical volume."""

    kind: str
    start: int
    extents: int
    fields: Section


class LogicalVolume(NamedTuple):
    """A volume of the group."""

    name: str
    visible: bool
    partial: bool
    segments: list[Segment]


class PhysicalPlace(NamedTuple):
    """Where a physical volume has its extents."""

    uuid: str
    start: int
    """In bytes."""

    extents: int


class Group(NamedTuple):
    """A volume group."""

    name: str
    uuid: str
    sequence: int
    extent_size: int
    """In bytes."""

    places: dict[str, PhysicalPlace]
    volumes: dict[str, LogicalVolume]


def read_groups(physical: list[PhysicalVolume], budget: Budget) -> list[Group]:
    """The groups of these physical volumes. Of several texts the newest counts, as for LVM; two texts of the same
    number that differ are a contradiction."""
    texts: dict[str, tuple[int, bytes, Group]] = {}
    for text in dict.fromkeys(text for volume in physical for text in volume.texts):
        group = parse_group(text, budget)
        known = texts.get(group.uuid)
        if known is not None and known[0] == group.sequence and known[2] != group:
            raise Broken(f"two texts describe the volume group {group.name} differently")
        if known is None or known[0] < group.sequence:
            texts[group.uuid] = (group.sequence, text, group)
    return [group for _, _, group in texts.values()]


def parse_group(text: bytes, budget: Budget) -> Group:
    """The group that a text describes."""
    sections = [(name, value) for name, value in parse(text, budget).items() if isinstance(value, dict)]
    if len(sections) != 1:
        raise Broken(f"the text of a volume group describes {len(sections)} groups")
    name, section = sections[0]
    extent_size = number(section, "extent_size") * SECTOR
    if not 0 < extent_size <= MAX_EXTENT:
        raise Broken(f"a volume group has extents of {extent_size} bytes")
    places = {}
    for key, value in sections_of(section, "physical_volumes"):
        start, count = number(value, "pe_start") * SECTOR, number(value, "pe_count")
        places[key] = PhysicalPlace(text_of(value, "id").replace("-", ""), start, count)
    volumes: dict[str, LogicalVolume] = {}
    segments = 0
    for key, value in sections_of(section, "logical_volumes"):
        count = number(value, "segment_count")
        segments += count
        if segments > MAX_SEGMENTS:
            raise TooMuch(f"the volumes of a volume group have more than {MAX_SEGMENTS} segments")
        volumes[key] = _volume(key, value, count, budget)
    return Group(
        name=name,
        uuid=text_of(section, "id"),
        sequence=number(section, "seqno"),
        extent_size=extent_size,
        places=places,
        volumes=volumes,
    )


def _volume(name: str, section: Section, count: int, budget: Budget) -> LogicalVolume:
    segments = []
    end = 0
    for index in range(1, count + 1):
        budget.step()
        fields = section.get(f"segment{index}")
        if not isinstance(fields, dict):
            raise Broken(f"the volume {name} of a volume group lacks its segment {index}")
        segment = Segment(
            text_of(fields, "type"), number(fields, "start_extent"), number(fields, "extent_count"), fields
        )
        if segment.start != end or not 0 < segment.extents < 1 << 40:
            raise Broken(f"segment {index} of the volume {name} begins at extent {segment.start}, not at {end}")
        end += segment.extents
        segments.append(segment)
    if not segments:
        raise Broken(f"the volume {name} of a volume group has no segments")
    status = section.get("status")
    flags = status if isinstance(status, list) else []
    return LogicalVolume(name, "VISIBLE" in flags, "PARTIAL" in flags, segments)


def number(section: Section, name: str) -> int:
    """A field that is a number and not negative."""
    value = section.get(name)
    if not isinstance(value, int) or value < 0:
        raise Broken(f"the text of a volume group has no number {name!r}")
    return value


def text_of(section: Section, name: str) -> str:
    """A field that is text."""
    value = section.get(name)
    if not isinstance(value, str):
        raise Broken(f"the text of a volume group has no text {name!r}")
    return value


def areas_of(section: Section, name: str) -> list[Area]:
    """A list of names and extents in turn."""
    value: Value | Section | None = section.get(name)
    if not isinstance(value, list) or len(value) % 2 or not value:
        raise Broken(f"the text of a volume group has no list {name!r} of areas")
    areas = []
    for volume, extent in zip(value[::2], value[1::2], strict=True):
        if not isinstance(volume, str) or not isinstance(extent, int) or extent < 0:
            raise Broken(f"the list {name!r} in the text of a volume group is damaged")
        areas.append(Area(volume, extent))
    return areas


def names_of(section: Section, name: str) -> list[str]:
    """A list of names."""
    value = section.get(name)
    if not isinstance(value, list) or not value:
        raise Broken(f"the text of a volume group has no list {name!r} of volumes")
    return [str(part) for part in value]


def sections_of(section: Section, name: str) -> list[tuple[str, Section]]:
    """The sections in a section, none if it is not there."""
    value = section.get(name, {})
    if not isinstance(value, dict):
        raise Broken(f"the text of a volume group has {name!r}, and it is no section")
    return [(key, part) for key, part in value.items() if isinstance(part, dict)]
