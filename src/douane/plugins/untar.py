"""The transform `untar`: extract the only disk from a tar archive, compressed or not; other images pass unchanged."""

from __future__ import annotations

from douane_plugin import Reject, Transform

from ._byte_reader import ByteReader
from ._expansion import DEFAULT_MAX, bounded, check_bounds
from .decompress.layers import next_layer, unpacker
from .decompress.limits import UnpackLimits
from .formats import member_names, tar_headers
from .formats.ova import DISK_ENDINGS
from .formats.ovf_references import APPLE_DOUBLE, may_be_apple_double
from .formats.requests import HEAD_BYTES
from .ova.archive import Archive
from .ova.verification import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from douane_plugin import Image

    from .formats.tar_blocks import TarMember

MAX_PROBED_BYTES = 1 << 20
"""Bytes that are searched for a disk: well before `image.unchanged()` would come too late."""

MAX_WINDOW, MAX_PARTS = 128 << 20, 1 << 22
"""The defaults of `decompress`: bytes of memory for what was unpacked before, and members, streams or frames."""

OTHER_ARCHIVES = ("ova", "docker")
"""Container formats of tar archives that are more than a packed disk."""


class Untar(Transform):
    """Extract the only disk from a tar archive as it arrives: an export of Google Compute Engine, a box of Vagrant.

    ``use = "untar"``. The archive may be compressed (gzip, xz, zstd and all others that `decompress` knows, but zip). A
    disk is a file whose name ends as those of disks do (``.raw``, ``.img``, ``.qcow2``, ``.vmdk``, ...). All other
    members are discarded; what they say of the disk, such as Vagrant's ``metadata.json``, is not believed. Any other
    image passes unchanged; so does an archive that is declared as ``ova`` or ``docker``, in which an OVF descriptor
    precedes the disk (see `ova`), or in whose first mebibyte no disk begins. A descriptor after the disk is refused, as
    the disk would not be compared with its manifest.

    Place it before `decompress` and `ova`: the ``format`` after `decompress` refuses an archive that holds a disk and
    no descriptor.

    Configuration:

    ``disk`` (str, none)
        The name of the disk's member, with or without its folders. Without it, an archive with several disks is
        refused, with their names.
    ``max_members`` (int, 1024)
        Members of the archive; more are refused.
    ``max_expansion`` (int, 500)
        Largest ratio of the disk to the image, once the disk exceeds 1 GiB; a larger ratio is refused with
        ``compressed-bomb``.

    Properties: ``disk`` (the member's name), and ``compression`` (``"gzip"``) of a compressed archive.

    The codes of refusals begin with ``tar-``, and with ``compressed-`` where the archive cannot be unpacked.
    """

    def __init__(self, disk: str | None = None, max_members: int = 1024, max_expansion: int = DEFAULT_MAX) -> None:
        if disk is not None and not disk:
            raise ValueError("'disk' is the name of a file in the archive, and not empty")
        check_bounds(max_members, max_expansion)
        self.disk = disk
        self.max_members = max_members
        self.max_expansion = max_expansion

    def transform(self, image: Image) -> Iterator[Any]:
        """Yield the disk. Raises Reject."""
        source, compression = self._unpack(ByteReader(image))
        if source is None or image.container_format in OTHER_ARCHIVES:
            image.unchanged()
            return
        archive = Archive(source, self.max_members, self.warn, prefix="tar")
        members = archive.members()
        disk = self._find_disk(archive, members)
        if disk is None:
            image.unchanged()
            return
        name = member_names.normal(disk.name)
        self.log.info("extracting the disk %r", name)
        image.becomes(container_format="bare")
        yield from bounded(self._read(archive, members, disk), image, self.max_expansion)
        image.becomes(properties={"disk": printable(name)} | compression)

    def _unpack(self, source: ByteReader) -> tuple[ByteReader | None, dict[str, str]]:
        """The bytes of the archive, and the property `compression`; None if the image is no tar archive."""
        compression: dict[str, str] = {}
        try:
            layer = next_layer(source)
            if layer is not None and layer.kind == "compressed":
                limits = UnpackLimits(window=MAX_WINDOW, members=MAX_PARTS, trailing=False, warn=self.warn)
                source = ByteReader(unpacker(layer)(source, limits))
                compression = {"compression": layer.name}
            is_archive = tar_headers.begins_archive(source.peek(HEAD_BYTES))
        except Reject:
            return None, {}  # whether damaged data may pass is up to the plugins that follow
        return (source if is_archive else None), compression

    def _find_disk(self, archive: Archive, members: Iterator[TarMember]) -> TarMember | None:
        """The first member that is a disk; None if the archive is to pass unchanged. Raises Reject."""
        for member in members:
            if _is_descriptor(archive, member):
                return None
            if self._is_disk(archive, member):
                archive.strict = True
                archive.raise_fault()
                return member
            if member.end > MAX_PROBED_BYTES:
                return None
        return None

    def _is_disk(self, archive: Archive, member: TarMember) -> bool:
        if member.kind != "file":
            return False
        name = member_names.normal(member.name)
        if self.disk is not None:
            return member_names.normal(self.disk) in (name, name.rpartition("/")[2])
        return name.lower().endswith(DISK_ENDINGS) and not _is_apple_double(archive, member)

    def _read(self, archive: Archive, members: Iterator[TarMember], disk: TarMember) -> Iterator[memoryview]:
        """Yield the disk, and read the archive to its end. Raises Reject, also if there is a second disk."""
        if not disk.size:
            raise Reject("tar-no-disk", f"the disk {member_names.quoted(disk.name)} is empty; export it again")
        yield from archive.data(disk)
        yield memoryview(b"")  # the consumer holds the last piece until the next one
        for member in members:
            if _is_descriptor(archive, member):
                raise Reject(
                    "tar-descriptor",
                    f"the OVF descriptor {member_names.quoted(member.name)} follows its disk: this is an appliance, "
                    "whose descriptor must come first; pack it again in that order",
                )
            if self._is_disk(archive, member):
                names = f"{member_names.quoted(disk.name)} and {member_names.quoted(member.name)}"
                raise Reject(
                    "tar-disks", f"the archive has more than one disk, {names}, and an image has one; pack one disk"
                )


def _is_descriptor(archive: Archive, member: TarMember) -> bool:
    return member.name.lower().endswith(".ovf") and not _is_apple_double(archive, member)


def _is_apple_double(archive: Archive, member: TarMember) -> bool:
    """True for attributes of another file, which macOS packs beside it."""
    if member.kind != "file" or not may_be_apple_double(member.name):
        return False
    return archive.begin(member, len(APPLE_DOUBLE)) == APPLE_DOUBLE
