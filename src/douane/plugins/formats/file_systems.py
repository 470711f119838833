"""File systems and other content of a whole disk without a partition table: one table of signatures."""

from douane_guest.headers import mbr as boot_sectors
from douane_guest.headers.numbers import be32, u16, u32

from .raw_content import Content, read_whole_disk
from .requests import HEAD_BYTES, Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from .match import Match
    from .requests import Reader

SIGNATURES: "tuple[tuple[str, int, bytes], ...]" = (
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("bitlocker", 3, b"-FVE-FS-"),
    ("refs", 3, b"ReFS\0\0\0\0"),
    ("xfs", 0, b"XFSB"),
    ("xfs-log", 0, b"\xfe\xed\xba\xbe"),
    ("squashfs", 0, b"hsqs"),
    ("squashfs", 0, b"sqsh"),
    ("cramfs", 0, b"\x45\x3d\xcd\x28"),
    ("cramfs", 0, b"\x28\xcd\x3d\x45"),
    ("romfs", 0, b"-rom1fs-"),
    ("ubi", 0, b"UBI#"),
    ("ubifs", 0, b"\x31\x18\x10\x06"),
    ("bfs", 0, b"\xce\xfa\xad\x1b"),
    ("bluestore", 0, b"bluestore block device\n"),
    ("vdo", 0, b"dmvdo001"),
    ("mdraid", 0, b"\xfc\x4e\x2b\xa9"),
    ("sgi", 0, b"\x0b\xe5\xa9\x41"),
    ("wim", 0, b"MSWIM\0\0\0"),
    ("apfs", 32, b"NXSB"),
    ("befs", 544, b"1SFB"),
    ("lvm2", 536, b"LVM2 001"),
    ("lvm2", 24, b"LVM2 001"),
    ("lvm2", 1048, b"LVM2 001"),
    ("lvm2", 1560, b"LVM2 001"),
    ("bsd", 512, b"\x57\x45\x56\x82"),
    ("bsd", 64, b"\x57\x45\x56\x82"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    ("vxfs", 1024, b"\xf5\xfc\x01\xa5"),
    ("vxfs", 1024, b"\xa5\x01\xfc\xf5"),
    ("ocfs2", 2048, b"OCFSV2"),
    ("ocfs2", 1024, b"OCFSV2"),
    ("ocfs2", 4096, b"OCFSV2"),
    ("ocfs2", 8192, b"OCFSV2"),
    ("mdraid", 4096, b"\xfc\x4e\x2b\xa9"),
    ("stratis", 4100, b"!Stra0tis\x86\xff\x02^\x41rh"),
    ("bcache", 4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    ("bcachefs", 4120, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("swap", 4086, b"SWAP-SPACE"),
    ("swap", 16374, b"SWAPSPACE2"),
    ("swap", 65526, b"SWAPSPACE2"),
    ("suspended", 4086, b"S1SUSPEND\0"),
    ("suspended", 4086, b"S2SUSPEND\0"),
    ("suspended", 4086, b"ULSUSPEND\0"),
    ("suspended", 4086, b"LINHIB0001"),
    ("hpfs", 8192, b"\x49\xe8\x95\xf9"),
    ("ufs", 9564, b"\x54\x19\x01\x00"),
    ("ufs", 9564, b"\x00\x01\x19\x54"),
    ("ufs", 9564, b"\x19\x01\x54\x19"),
    ("reiserfs", 8244, b"ReIsEr"),
    ("jfs", 32768, b"JFS1"),
    ("btrfs", 65600, b"_BHRfS_M"),
    ("gfs2", 65536, b"\x01\x16\x19\x70\x00\x00\x00\x01"),
    ("reiserfs", 65588, b"ReIsEr"),
    ("reiserfs", 65536, b"ReIsEr4"),
    ("ufs", 66908, b"\x19\x01\x54\x19"),
    ("ufs", 66908, b"\x54\x19\x01\x00"),
)
"""Name, offset, magic, from the headers of Linux and the BSDs (uapi/linux/magic.h, those of each file system) and the
probes of libblkid. Magics of fewer than four bytes are in :data:`PROBES`, with further conditions."""


ORDERS: "tuple[Literal['little', 'big'], ...]" = ("little", "big")


def _ext(head: bytes) -> bool:
    # fs/ext4/ext4.h, struct ext4_super_block: inodes and blocks, block size up to 64 KiB, a known revision
    return (
        head[1080:1082] == b"\x53\xef"
        and u32(head, 1024) != 0
        and u32(head, 1028) + u32(head, 1360) != 0
        and u32(head, 1048) <= 6
        and u32(head, 1100) <= 1
    )


def _hfs(head: bytes) -> bool:
    # Inside Macintosh: Files, 2-60: the size of allocation blocks is a multiple of 512
    size = be32(head, 1024 + 20)
    return head[1024:1026] == b"BD" and size != 0 and size % 512 == 0


def _hfs_plus(head: bytes) -> bool:
    # Apple's Technical Note TN1150: H+ with version 4, HX with version 5; the block size is a power of two
    size = be32(head, 1024 + 40)
    return head[1024:1028] in (b"H+\0\4", b"HX\0\5") and size >= 512 and not size & (size - 1)


def _nilfs(head: bytes) -> bool:
    # uapi/linux/nilfs2_ondisk.h: revision 2, magic 3434 hex, the length of the superblock
    return head[1030:1032] == b"\x34\x34" and u32(head, 1024) == 2 and 256 <= u16(head, 1032) <= 1024


def _minix(head: bytes) -> bool:
    # uapi/linux/minix_fs.h; versions 1 and 2: zones of 1024 bytes, clean or not; the first zone follows the maps
    for order in ORDERS:
        fields = [int.from_bytes(head[at : at + 2], order) for at in range(1024, 1044, 2)]
        if fields[8] in (0x137F, 0x138F, 0x2468, 0x2478) and fields[0] and fields[2] and fields[3] and fields[5] == 0:
            return fields[4] >= 2 + fields[2] + fields[3] and len(head) > 1044
    return u16(head, 1024 + 24) == 0x4D5A and u32(head, 1024) != 0 and u16(head, 1024 + 28) in (1024, 2048, 4096)


def _zfs(head: bytes) -> bool:
    # The name-value list of the label (zfs: module/nvpair/nvpair.c) begins with "version"
    return head[16384:16386] in (b"\x01\x01", b"\x01\x00") and b"version\0" in head[16384 : 16384 + 64]


def _sun(head: bytes) -> bool:
    # block/partitions/sun.c: a magic; the exclusive or of all 16-bit words is 0
    total = 0
    for at in range(0, 512, 2):
        total ^= u16(head, at)
    return head[508:510] == b"\xda\xbe" and total == 0


def _mac(head: bytes) -> bool:
    # block/partitions/mac.h: a driver descriptor, and the partition map in the next block of 512 or 2048 bytes
    return head[:2] == b"ER" and (head[512:514] == b"PM" or head[2048:2050] == b"PM")


PROBES: "tuple[tuple[str, int, Callable[[bytes], bool]], ...]" = (
    ("fat", 11, boot_sectors.is_fat),
    ("ext", 1080, _ext),
    ("hfs+", 1024, _hfs_plus),
    ("hfs", 1024, _hfs),
    ("nilfs2", 1030, _nilfs),
    ("zfs", 16384, _zfs),
    ("sun", 508, _sun),
    ("mac", 0, _mac),
    ("minix", 1040, _minix),
)


def signatures_in(head: bytes) -> "list[tuple[str, int]]":
    """Name and offset of each signature in `head`, the longest magic first."""
    signatures = [(name, at) for name, at, magic in SIGNATURES if head.startswith(magic, at)]
    return signatures + [(name, at) for name, at, holds in PROBES if holds(head)]


def _names() -> "list[str]":
    """All names, each once, in alphabetical order."""
    return sorted({name for name, _, _ in (*SIGNATURES, *PROBES)})


class FileSystems(Content):
    """A file system, or anything else of :data:`SIGNATURES` and :data:`PROBES`; a match has its own name: ``xfs``."""

    name = "file-system"
    about = "a disk without a partition table"
    other_names = tuple((name, "a disk without a partition table") for name in _names())

    def begins(self, head: bytes) -> bool:
        return bool(signatures_in(head)) and not boot_sectors.is_table(head)

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, HEAD_BYTES, "the beginning", short=True)
        names = signatures_in(head)
        if names:
            match.name = names[0][0]
            match.signatures = tuple(at for _, at in names)
        for name, at in names:
            match.note("signature", name, at)
        yield from read_whole_disk(match)
