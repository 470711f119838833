"""VMDK in all its kinds ("Virtual Disk Format 5.0", VMware); the readers are in ``vmdk_*.py``."""

from . import vmdk_descriptor
from .base import Format
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

SPARSE, COWD = b"KDMV", b"COWD"
SESPARSE = b"\xbe\xba\xfe\xca\0\0\0\0"
"""0xcafebabe in 8 bytes, little-endian; a Java class has it big-endian."""


class Vmdk(Format):
    """The reader renames the match of an image that is not a disk by itself: an extent or a descriptor."""

    name = "vmdk"
    about = "monolithicSparse and streamOptimized: a disk with its descriptor inside"
    other_names = (
        ("vmdk-descriptor", "a text that names other files as the disk"),
        ("vmdk-extent", "an extent of a disk in several files"),
        ("vmdk-cowd", "a sparse extent of ESX"),
        ("vmdk-sesparse", "a sparse extent of ESX"),
    )
    disk_format = "vmdk"
    declared_as = ("vmdk",)
    allowed = True
    qemu_driver = "vmdk"

    def begins(self, head: bytes) -> bool:
        # the rule of qemu for the first two (vmdk_probe); it opens the third only if a descriptor names it
        return head.startswith((SPARSE, COWD, SESPARSE)) or vmdk_descriptor.recognise(head) != ""

    def read(self, match: "Match") -> "Reader":
        from .vmdk_esx import read_cowd, read_sesparse
        from .vmdk_sparse import read_sparse

        head = yield Bytes(0, 10240, "the header", short=True)
        if head.startswith(SPARSE):
            yield from read_sparse(match)
        elif head.startswith(COWD):
            yield from read_cowd(match)
        elif head.startswith(SESPARSE):
            yield from read_sesparse(match)
        else:
            yield from vmdk_descriptor.read_text(match, vmdk_descriptor.recognise(head))
