"""Which members are the chosen disk: one, or its chunks in order (DMTF DSP0243, 7.1: ``disk.vmdk.000000000`` ...)."""

from __future__ import annotations

from douane.plugins.formats import member_names, ovf
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane.plugins.formats.ovf_document import File

_DIGITS = 9


class DiskParts:
    """The members of `file`, which is named relative to `folder`, that have gone by."""

    def __init__(self, file: File, folder: str) -> None:
        self.file = file
        self._names = {member_names.normal(f"{folder}/{href}") for href in ovf.hrefs(file)}
        self.members: list[str] = []
        """Their normal names."""
        self.size = 0
        """Bytes of them together."""
        self._last = 0

    @property
    def name(self) -> str:
        """The name of the file: of its member, or of its chunks without their numbers; the href if none came."""
        if not self.members:
            return self.file.href
        return self.members[0][: -1 - _DIGITS] if self.file.chunk_size else self.members[0]

    def take(self, name: str, size: int) -> bool:
        """A member of that normal name and size goes by; True if it is the next part. Raises Reject."""
        base, number = self._split(name)
        if base not in self._names:
            return False
        if self.members and (base != self.name or number is None):
            raise Reject("ova-member-twice", f"two members could be the disk {member_names.shown(self.file.href)}")
        if number is not None:
            self._check_chunk(number, size)
        self.members.append(name)
        self.size += size
        self._last = size
        return True

    def _split(self, name: str) -> tuple[str, int | None]:
        if not self.file.chunk_size:
            return name, None
        base, _, digits = name.rpartition(".")
        if len(digits) == _DIGITS and digits.isascii() and digits.isdigit():
            return base, int(digits)
        return "", None

    def _check_chunk(self, number: int, size: int) -> None:
        shown, chunk = member_names.shown(self.file.href), self.file.chunk_size or 0
        if number != len(self.members):
            raise Reject(
                "ova-chunks",
                f"chunk {number} of the disk {shown} stands where chunk {len(self.members)} should; pack them in order",
            )
        if size > chunk or (self.members and self._last != chunk):
            raise Reject("ova-chunks", f"a chunk of the disk {shown} has not the {chunk} bytes that its chunks have")

    def end(self) -> None:
        """All members have gone by. Raises Reject if some of the disk's did not."""
        shown = member_names.shown(self.file.href)
        if not self.members:
            raise Reject("ova-no-disk", f"the disk {shown} is not in the archive; pack the appliance with its disk")
        if self.file.chunk_size and self.file.size is not None and not self.file.compression:
            wanted = -(-self.file.size // self.file.chunk_size)
            if len(self.members) < wanted:
                raise Reject(
                    "ova-chunks", f"of the {wanted} chunks of the disk {shown} only {len(self.members)} are there"
                )
        if not self.size:
            raise Reject("ova-no-disk", f"the disk {shown} is empty; export the appliance again")

    @property
    def size_differs(self) -> bool:
        """True if the descriptor tells another size; of what, it does not say for a compressed file."""
        return self.file.size is not None and not self.file.compression and self.file.size != self.size
