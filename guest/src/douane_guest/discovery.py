"""From a disk to its volumes: partitions, md arrays, volume groups, and the file systems in them.

Every device is asked everything. What the guest could see in two ways is a contradiction, and unread; what is unknown
is unread as well, unless it is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import NamedTuple, cast

from .budget import Budget
from .containers.base import Disk
from .errors import Broken, GuestError, TooMuch, Unsupported
from .filesystems import registry
from .filesystems.base import Opener
from .filesystems.unread import EMPTY, LAYERS, Signature, signatures_of
from .signatures import may_be
from .source import Source, Window
from .tables.find import partitions
from .unread import UnreadParts
from .volume import Volume
from .volumes.encrypted import encryption_of
from .volumes.lvm.label import PhysicalVolume, read_label
from .volumes.md import Member, read_member

MAX_DEVICES = 4096
MAX_LAYERS = 4
"""Arrays of arrays, and groups on them."""
SCAN = 1 << 20
MAX_TEXTS = 16 << 20
"""Of all volume groups."""
FIRST_EXTENT = 1 << 20
"""Where the data of a physical volume begin, unless somebody asked for another place."""
BRIDGE = frozenset({"iso9660", "udf"})
"""A disc may have both on purpose, with the same files. Both are read, for a guest may mount either."""


CODE = frozenset({"21686148-6449-6e6f-744e-656564454649", "9e1a2d38-c612-4316-aa26-8b49521e5a8b", "0x41"})
"""Types of partitions with code and no files: BIOS boot, PReP."""


class Device(NamedTuple):
    """What may hold a file system, or a part of something larger."""

    name: str
    source: Source
    uuid: str = ""
    """Of its partition, as its label."""

    label: str = ""
    has_files: bool = True
    """False for a partition whose type says that it has code and no files."""

    may_have_table: bool = False
    sector_size: int = 512


class Claims(NamedTuple):
    """All that a device could be."""

    encryption: str
    physical: PhysicalVolume | None
    signatures: list[Signature]
    filesystems: list[str]
    """Modules of `filesystems`."""

    @property
    def words(self) -> list[str]:
        """For people."""
        words = [self.encryption] if self.encryption else []
        words += ["LVM2"] if self.physical else []
        return [*words, *(signature.name for signature in self.signatures), *self.filesystems]


class Discovery:
    """The volumes of a disk. `unread` grows by what is none."""

    def __init__(self, budget: Budget, unread: UnreadParts) -> None:
        self.volumes: list[Volume] = []
        self._budget = budget
        self._unread = unread
        self._devices = 0
        self._members: dict[bytes, list[Member]] = {}
        self._physical: list[PhysicalVolume] = []
        self._texts: dict[bytes, bytes] = {}

    def explore_disk(self, disk: Disk) -> None:
        """Find the volumes of a disk."""
        self.explore([Device("disk", disk, may_have_table=True, sector_size=disk.sector_size)])

    def explore(self, devices: Iterable[Device]) -> None:
        """Look into devices, and into those that are made of them."""
        for _ in range(MAX_LAYERS + 1):
            for device in devices:
                self._devices += 1
                if self._devices > MAX_DEVICES:
                    self._unread.add(device.name, TooMuch.code, f"the disk has more than {MAX_DEVICES} devices in it")
                    return
                parts = self._partitions(device) if device.may_have_table else []
                for part in [device, *parts]:
                    try:
                        self.look_into(part, partitioned=part is device and bool(parts))
                    except GuestError as error:
                        self._unread.add_error(part.name, error)
            # Groups come last: an array may be a physical volume of a group that has others.
            devices = list(self._arrays()) or list(self._groups())
        for device in devices:
            self._unread.add(device.name, TooMuch.code, f"there are more than {MAX_LAYERS} layers of arrays and groups")

    def _partitions(self, device: Device) -> list[Device]:
        """The partitions of a device; what is wrong with its table is unread."""
        prefix = "" if device.name == "disk" else device.name
        parts = []
        try:
            table = partitions(device.source, self._budget, device.sector_size)
            for fault in table.unread:
                self._unread.add(f"{device.name}: {fault.where}: {fault.why}", fault.code, fault.why)
            for part in table.partitions:
                source = Window(device.source, part.start, part.size)
                has_files = part.kind.lower() not in CODE
                parts.append(Device(prefix + part.name, source, part.uuid, part.label, has_files))
        except GuestError as error:
            self._unread.add_error(f"{device.name}: partition table", error)
        return parts

    def look_into(self, device: Device, *, partitioned: bool = False) -> None:
        """Open the file system of a device, or keep it as a part of something. `partitioned`: it has a table, so that
        the rest of it may be anything."""
        member = read_member(device.source, at_end=not partitioned)
        if member is not None:
            if partitioned:
                raise Broken("the device is ambiguous: it has a partition table, and is a member of an md array")
            self._members.setdefault(member.array, []).append(member)
            return
        claims = claims_of(device.source, self._budget)
        layers = [signature for signature in claims.signatures if signature.name in LAYERS]
        if layers:
            raise Unsupported(f"the device is {layers[0].name}, which is not read", layers[0].code)
        if len(claims.words) > 1 and set(claims.words) != BRIDGE:
            raise Broken(f"the device is ambiguous: it has the signatures of {' and of '.join(claims.words)}")
        if claims.encryption:
            raise Unsupported(f"the device is encrypted: {claims.encryption}", "guest-encrypted")
        if claims.physical is not None:
            self._keep(claims.physical)
        for signature in claims.signatures:
            if signature.name != EMPTY:
                raise Unsupported(f"the device is {signature.name}, which is not read", signature.code)
        for name in claims.filesystems:
            self._open(device, name, with_word=len(claims.filesystems) > 1)
        if not claims.words and not partitioned and device.has_files and not is_empty(device.source, self._budget):
            raise Unsupported("nothing that is known begins here, and it is not empty")

    def _open(self, device: Device, name: str, with_word: bool) -> None:
        place = f"{device.name} ({name})" if with_word else device.name
        try:
            system = opener(name).open(device.source, self._budget)
        except GuestError as error:
            self._unread.add_error(place, error)
            return
        names = {volume.name for volume in self.volumes}
        while place in names:
            place += "+"  # two arrays, or an array and a group, may have the same name
        volume = Volume(place, device.source, system, self._budget, self._unread)
        volume.partition_uuid, volume.partition_label = device.uuid, device.label
        self.volumes.append(volume)

    def _keep(self, physical: PhysicalVolume) -> None:
        """Keep a physical volume until its group is complete; their texts, which mostly are the same, once."""
        texts = [self._texts.setdefault(text, text) for text in physical.texts]
        if sum(map(len, self._texts)) > MAX_TEXTS:
            raise TooMuch(f"the texts of volume groups have more than {MAX_TEXTS} bytes")
        self._physical.append(physical._replace(texts=texts))

    def _arrays(self) -> Iterator[Device]:
        members, self._members = self._members, {}
        if not members:
            return
        from .volumes.md_arrays import assemble  # as for groups, below

        for group in members.values():
            name = f"md/{group[0].name.rpartition(':')[2]}"
            try:
                yield Device(name, assemble(group, self._budget), may_have_table=True)
            except GuestError as error:
                self._unread.add_error(name, error)

    def _groups(self) -> Iterator[Device]:
        physical, self._physical = self._physical, []
        if not physical:
            return
        # Most disks have no groups, and the imports take 2 ms.
        from .volumes.lvm.group import read_groups
        from .volumes.lvm.volumes import GroupVolumes

        names = set()
        try:
            groups = read_groups(physical, self._budget)
            self._check_orphans(physical, {place.uuid for group in groups for place in group.places.values()})
            for group in groups:
                if group.name in names:
                    raise Broken(f"two volume groups have the name {group.name}")
                names.add(group.name)
                for name, source in GroupVolumes(group, physical, self._budget).visible():
                    if isinstance(source, GuestError):
                        self._unread.add_error(name, source)
                    else:
                        yield Device(name, source)
        except GuestError as error:
            self._unread.add_error("LVM2", error)

    def _check_orphans(self, physical: list[PhysicalVolume], uuids: set[str]) -> None:
        """A physical volume of no group here may belong to one whose text is on another disk."""
        for volume in physical:
            start = min(FIRST_EXTENT, volume.source.size)
            if volume.uuid not in uuids and not is_empty(
                Window(volume.source, start, volume.source.size - start), self._budget
            ):
                why = "its group is described nowhere on this disk, and it is not empty"
                self._unread.add(f"the physical volume {volume.uuid}", "guest-unknown", why)


def claims_of(source: Source, budget: Budget) -> Claims:
    """Ask everything."""
    return Claims(
        encryption=encryption_of(source),
        physical=read_label(source, budget),
        signatures=signatures_of(source),
        filesystems=[
            name
            for name in registry.OPENERS
            if may_be(source, registry.SIGNATURES.get(name)) and opener(name).probe(source)
        ],
    )


def opener(name: str) -> Opener:
    """The module of a file system."""
    return cast("Opener", import_module(f"douane_guest.filesystems.{name}"))


def is_empty(source: Source, budget: Budget) -> bool:
    """True if all bytes are zero. What is not empty mostly ends this within its first MiB; of a disk only what is
    allocated is read: an empty one of 64 TiB would take an hour."""
    extents = source.extents() if hasattr(source, "extents") else [(0, source.size)]
    for first, size in extents:
        budget.step()
        for start in range(first, first + size, SCAN):
            budget.step(100)
            if source.pread(start, min(SCAN, first + size - start)).strip(b"\0"):
                return False
    return True
