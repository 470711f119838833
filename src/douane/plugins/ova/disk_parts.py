"""The members of the chosen disk: one, or its chunks in order (DMTF DSP0243, 7.1: ``disk.vmdk.000000000`` ...)."""

from __future__ import annotations

from douane.plugins.formats import member_names
from douane.plugins.formats.ovf_references import split_chunk
from douane_plugin import Reject
from douane_plugin._units import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane.plugins.formats.ovf_document import File
    from douane.plugins.formats.ovf_references import References


class DiskParts:
    """The members of `file`, by the names in `references`, that have gone by."""

    def __init__(self, file: File, references: References) -> None:
        self.file = file
        self._names = set(references.names(file))
        self.members: list[str] = []
        """Their normal names."""
        self.size = 0
        """Bytes of them together."""
        self._last_size = 0

    @property
    def name(self) -> str:
        """The name of the file: of its member, or of its chunks without their numbers; the href if none came."""
        if not self.members:
            return self.file.href
        return split_chunk(self.members[0])[0] if self.file.chunk_size else self.members[0]

    def take(self, name: str, size: int) -> bool:
        """Take the next member if it is the next part of the disk; True if so. Raises Reject."""
        base, number = self._split(name)
        if base not in self._names:
            return False
        if self.members and (base != self.name or number is None):
            raise Reject(
                "ova-member-twice",
                f"two members could be the disk {member_names.quoted(self.file.href)}; pack it again, with one of them",
            )
        if number is not None:
            self._check_chunk(number, size)
        self.members.append(name)
        self.size += size
        self._last_size = size
        return True

    def _split(self, name: str) -> tuple[str, int | None]:
        if not self.file.chunk_size:
            return name, None
        base, number = split_chunk(name)
        return base if number is not None else "", number

    def _check_chunk(self, number: int, size: int) -> None:
        name, chunk_size = member_names.quoted(self.file.href), self.file.chunk_size or 0
        if number != len(self.members):
            raise Reject(
                "ova-chunks",
                f"the disk {name} has chunk {number} in place of chunk {len(self.members)}; pack them in order",
            )
        if size > chunk_size or (self.members and self._last_size != chunk_size):
            raise Reject(
                "ova-chunks",
                f"chunk {number} of the disk {name}, or the one before it, does not have the {chunk_size} bytes of a "
                "chunk; pack the chunks as they were exported",
            )

    def finish(self) -> None:
        """Raise Reject if a part of the disk is missing."""
        name = member_names.quoted(self.file.href)
        if not self.members:
            raise Reject("ova-no-disk", f"the disk {name} is not in the archive; pack the appliance with its disk")
        if self.file.chunk_size and self.file.size is not None and not self.file.compression:
            count = -(-self.file.size // self.file.chunk_size)
            if len(self.members) < count:
                raise Reject(
                    "ova-chunks",
                    f"the disk {name} has {number_of(count, 'chunk')}, of which the archive has {len(self.members)}; "
                    "pack all of them",
                )
        if not self.size:
            raise Reject("ova-no-disk", f"the disk {name} is empty; export the appliance again")

    @property
    def size_differs(self) -> bool:
        """True if the descriptor gives another size. It does not say which size it gives for a compressed file."""
        return self.file.size is not None and not self.file.compression and self.file.size != self.size
