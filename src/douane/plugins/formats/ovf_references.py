"""Which members of an archive are the files of an appliance, and which of them something refers to.

`format` and `ova` share this module, so that they agree. Names are relative to the folder of the descriptor (DMTF
DSP0243, 7.1: a relative href is resolved against the location of the descriptor): of ``win22/box.ovf``, the file
``disk1.vmdk`` is the member ``win22/disk1.vmdk``.
"""

from . import member_names
from .ovf import hrefs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .ovf_document import File

ROLES = (".ovf", ".mf", ".cert")
"""Endings of the members that describe the others. Their names say what they are, without any reference."""

APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""How the files begin in which macOS keeps attributes of other files ("AppleSingle/AppleDouble Formats", Apple, 1990).
Its tar writes one, ``._box.ovf``, before each member."""

_DIGITS = 9


def split_chunk(name: str) -> "tuple[str, int | None]":
    """The name of a file, and the number of its chunk: ``disk.vmdk.000000003`` (DSP0243, 7.1); else `name` and None."""
    base, _, digits = name.rpartition(".")
    if base and len(digits) == _DIGITS and digits.isascii() and digits.isdigit():
        return base, int(digits)
    return name, None


def may_be_apple_double(name: str) -> bool:
    """True for a member that is named as macOS names attributes. It counts as any other unless it begins as one."""
    return name.rpartition("/")[2].startswith("._")


class References:
    """The members that a descriptor, the member `descriptor`, and a manifest refer to."""

    def __init__(self, descriptor: str) -> None:
        self._folder = descriptor.rpartition("/")[0]

    def member(self, name: str) -> str:
        """The normal name of the member that the descriptor or the manifest calls `name`."""
        return member_names.normal(f"{self._folder}/{name}")

    def names(self, file: "File") -> "list[str]":
        """The normal names that the member of `file` may have, or its chunks without their numbers."""
        return [self.member(href) for href in hrefs(file)]

    def first_names(self, file: "File") -> "list[str]":
        """The normal names that the member of `file`, or its first chunk, may have."""
        return [name + ".000000000" if file.chunk_size else name for name in self.names(file)]

    def referred(self, names: "Iterable[str]", files: "Iterable[File]", listed: "Iterable[str]") -> "list[str]":
        """Those of the member `names` that something refers to: by its role, as one of `files`, or as `listed`.

        Only they must be unique. oVirt puts a member ``pad`` before each disk, to align it, and nothing refers to it.
        """
        single = set(map(self.member, listed))
        chunked: set[str] = set()
        for file in files:
            (chunked if file.chunk_size else single).update(self.names(file))
        return [name for name in names if _is_referred(name, single, chunked)]


def _is_referred(name: str, single: "set[str]", chunked: "set[str]") -> bool:
    base, number = split_chunk(name)
    return name.lower().endswith(ROLES) or name in single or (number is not None and base in chunked)
