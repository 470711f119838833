"""The bytes of logical volumes: each kind of segment to a source."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, Unsupported
from douane_guest.source import Source, Window
from douane_guest.volumes.layouts import layout_of
from douane_guest.volumes.pieces import Piece, Pieces
from douane_guest.volumes.raid import MAX_MEMBERS, Mirror, Parity, Striped, Tenfold

from .group import Area, Group, LogicalVolume, Segment, areas_of, names_of, number, text_of
from .label import SECTOR, PhysicalVolume
from .thin import ThinPool

MAX_DEPTH = 8
"""Volumes that are made of volumes."""
RAID_LAYOUTS = {
    "raid4": (5, 4),  # The device mapper has the parity of RAID 4 first, md has it last.
    "raid5": (5, 2),
    "raid5_la": (5, 0),
    "raid5_ra": (5, 1),
    "raid5_ls": (5, 2),
    "raid5_rs": (5, 3),
    "raid5_n": (5, 5),
    "raid6": (6, 8),
    "raid6_zr": (6, 8),
    "raid6_nr": (6, 9),
    "raid6_nc": (6, 10),
    "raid6_la_6": (6, 16),
    "raid6_ra_6": (6, 17),
    "raid6_ls_6": (6, 18),
    "raid6_rs_6": (6, 19),
    "raid6_n_6": (6, 21),
}
"""Level and layout by the kind of a segment: dm-raid.rst."""
_UNREAD = {
    "cache": "it is cached",
    "cache-pool": "it is a cache",
    "writecache": "its writes are cached",
    "vdo": "it is deduplicated by VDO",
    "vdo-pool": "it is a pool of VDO",
    "integrity": "it has checksums by dm-integrity",
    "error": "it is an error for the guest, too",
}


class GroupVolumes:
    """The volumes of a group, made as they are asked for."""

    def __init__(self, group: Group, physical: list[PhysicalVolume], budget: Budget) -> None:
        self._group = group
        self._budget = budget
        self._devices: dict[str, Source] = {}
        self._pools: dict[str, ThinPool] = {}
        for name, place in group.places.items():
            matches = [volume.source for volume in physical if volume.uuid == place.uuid]
            if len(matches) > 1:
                raise Broken(f"two devices are the same physical volume of the group {group.name}")
            if matches:
                self._devices[name] = Window(matches[0], place.start, place.extents * group.extent_size)

    def visible(self) -> Iterator[tuple[str, Source | GuestError]]:
        """Each volume that the guest shows, by ``group/volume``; in its place the reason if it cannot be read."""
        unread = self._snapshots()
        for volume in self._group.volumes.values():
            kinds = {segment.kind for segment in volume.segments}
            if not volume.visible or "snapshot" in kinds or any(kind.endswith("-pool") for kind in kinds):
                continue
            name = f"{self._group.name}/{volume.name}"
            if volume.name in unread:
                yield name, unread[volume.name]
                continue
            try:
                yield name, self._volume(volume.name, 0)
            except GuestError as error:
                yield name, error

    def _snapshots(self) -> dict[str, GuestError]:
        """Why volumes that take part in a snapshot are not read, by name. The snapshot has a volume of its own, which
        refers to the one with its changes; an origin into which they are merged is not what its blocks say."""
        unread: dict[str, GuestError] = {}
        for volume in self._group.volumes.values():
            for segment in volume.segments:
                if segment.kind != "snapshot":
                    continue
                origin = text_of(segment.fields, "origin")
                merging = segment.fields.get("merging_store")
                changes = str(merging) if merging is not None else text_of(segment.fields, "cow_store")
                unread[changes] = Unsupported(f"the logical volume is a snapshot of {origin}, which is not read")
                if merging is not None:
                    why = f"the snapshot {changes} was being merged into the logical volume"
                    unread[origin] = Unsupported(why, "guest-unclean")
        return unread

    def _volume(self, name: str, depth: int) -> Source:
        volume = self._group.volumes.get(name)
        if volume is None:
            raise Broken(f"the volume group {self._group.name} has no volume {name}")
        if depth > MAX_DEPTH:
            raise Broken(f"the volume {name} is made of itself, or of more than {MAX_DEPTH} others")
        pieces = []
        for segment in volume.segments:
            self._budget.step()
            size = segment.extents * self._group.extent_size
            pieces.append(Piece(size, self._segment(volume, segment, size, depth), 0))
        return Pieces(pieces)

    def _segment(self, volume: LogicalVolume, segment: Segment, size: int, depth: int) -> Source | None:
        kind = segment.kind.partition("+")[0]
        if kind == "zero":
            return None
        if kind in ("striped", "linear"):
            return self._striped(segment, size, depth)
        if kind == "mirror":
            areas = areas_of(segment.fields, "mirrors")
            return Mirror([self._area(area, size, depth) for area in areas], size)
        if kind == "thin":
            return self._thin(segment, size, depth)
        if kind.startswith("raid"):
            return self._raid(kind, segment, size, depth)
        why = _UNREAD.get(kind, f"it has a segment of the kind {kind!r}")
        raise Unsupported(f"the logical volume {volume.name} is not read: {why}")

    def _area(self, area: Area, size: int, depth: int) -> Source:
        """`size` bytes of a physical or logical volume."""
        start = area.extent * self._group.extent_size
        if area.name in self._group.places:
            device = self._devices.get(area.name)
            if device is None:
                raise Unsupported(f"a physical volume of the group {self._group.name} is not on this disk")
            return Window(device, start, size)
        return Window(self._volume(area.name, depth + 1), start, size)

    def _striped(self, segment: Segment, size: int, depth: int) -> Source:
        areas = areas_of(segment.fields, "stripes")
        count = number(segment.fields, "stripe_count")
        if count != len(areas) or size % count:
            raise Broken(f"a segment of {size} bytes has {count} stripes, and {len(areas)} areas")
        sources = [self._area(area, size // count, depth) for area in areas]
        if count == 1:
            return sources[0]
        return Striped(sources, number(segment.fields, "stripe_size") * SECTOR, self._budget)

    def _raid(self, kind: str, segment: Segment, size: int, depth: int) -> Source:
        fields = segment.fields
        names = names_of(fields, "raid0_lvs" if "raid0_lvs" in fields else "raids")
        if "raid0_lvs" not in fields:
            names = names[1::2]  # The others are their metadata.
        if not 0 < len(names) <= MAX_MEMBERS:
            raise Broken(f"a segment of RAID has {len(names)} members")
        if number({**fields, "data_copies": fields.get("data_copies", 2)}, "data_copies") != 2:
            raise Unsupported(f"a volume of the kind {kind} has other than two copies")
        members = [self._volume(name, depth + 1) for name in names]
        if kind == "raid1":
            return Mirror(members, size)
        chunk = number(fields, "stripe_size") * SECTOR
        if kind in ("raid0", "raid0_meta"):
            return self._sized(
                Striped([self._cut(part, size // len(names)) for part in members], chunk, self._budget), size
            )
        if kind == "raid10":
            rows = size * 2 // len(names)
            return self._sized(Tenfold(members, chunk, rows, 2, 1, False, self._budget), size)
        if kind not in RAID_LAYOUTS:
            raise Unsupported(f"a volume of the kind {kind}")
        level, layout = RAID_LAYOUTS[kind]
        parities = 2 if level == 6 else 1
        if len(names) <= parities:
            raise Broken(f"a segment of the kind {kind} has {len(names)} members")
        rows = size // (len(names) - parities)
        return self._sized(Parity(members, chunk, rows, parities, layout_of(level, layout), self._budget), size)

    @staticmethod
    def _cut(source: Source, size: int) -> Source:
        return Window(source, 0, size)

    @staticmethod
    def _sized(source: Source, size: int) -> Source:
        if source.size != size:
            raise Broken(f"the members of a segment of {size} bytes have room for {source.size}")
        return source

    def _thin(self, segment: Segment, size: int, depth: int) -> Source:
        if "external_origin" in segment.fields:
            raise Unsupported("a thin volume has an origin outside of its pool")
        name = text_of(segment.fields, "thin_pool")
        if name not in self._pools:
            self._pools[name] = self._pool(name, depth)
        return self._pools[name].volume(number(segment.fields, "device_id"), size)

    def _pool(self, name: str, depth: int) -> ThinPool:
        volume = self._group.volumes.get(name)
        if volume is None or [segment.kind for segment in volume.segments] != ["thin-pool"]:
            raise Broken(f"{name} is no thin pool")
        fields = volume.segments[0].fields
        metadata = self._volume(text_of(fields, "metadata"), depth + 1)
        data = self._volume(text_of(fields, "pool"), depth + 1)
        return ThinPool(metadata, data, number(fields, "chunk_size") * SECTOR, self._budget)
