"""File systems and layers that are known by their signature and not read: one table.

Sources: util-linux' libblkid (superblocks/*.c names the offsets), file(1)'s magic, and the kernel's headers.
"""

from __future__ import annotations

from typing import NamedTuple

from douane_guest.source import Source


class Signature(NamedTuple):
    """Bytes at one of several places; a negative place counts from the end."""

    name: str
    offsets: tuple[int, ...]
    magic: bytes
    code: str = "guest-unknown"


_K, _M = 1 << 10, 1 << 20
_PAGES = tuple(page - 10 for page in (4 * _K, 8 * _K, 16 * _K, 64 * _K))
_BCACHE = bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")
_BCACHEFS = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
_TUX_ON_ICE = bytes.fromhex("edc302e99856e50c")
EMPTY = "swap"
"""Nothing of it is unread: a swap area has no files."""

_SWAP_VERSIONS = (b"\1\0\0\0", b"\0\0\0\1")
"""At 1024, in both orders of bytes: Linux takes no other (mm/swapfile.c)."""

SIGNATURES = (
    Signature(EMPTY, _PAGES, b"SWAPSPACE2"),
    Signature("old swap, which Linux does not take any more", _PAGES, b"SWAP-SPACE"),
    Signature("hibernation", _PAGES, b"S1SUSPEND", "guest-unclean"),
    Signature("hibernation", _PAGES, b"S2SUSPEND", "guest-unclean"),
    Signature("hibernation", _PAGES, b"ULSUSPEND", "guest-unclean"),
    Signature("hibernation", _PAGES, b"LINHIB0001", "guest-unclean"),
    Signature("hibernation", (0,), _TUX_ON_ICE, "guest-unclean"),
    Signature("hpfs", (8 * _K,), b"\x49\xe8\x95\xf9\xc5\xe9\x53\xfa"),
    Signature("qnx6", (8 * _K,), b"\x22\x11\x19\x68"),
    Signature("f2fs", (_K,), b"\x10\x20\xf5\xf2"),
    Signature("ReFS", (3,), b"ReFS\0\0\0\0"),
    Signature("VMFS", (_M,), b"\x0d\xd0\x01\xc0"),
    Signature("VMFS", (2 * _M,), b"\x5e\xf1\xab\x2f"),
    Signature("VMFS", (2 * _M,), b"\x5f\xf1\xab\x2f"),
    Signature("bcache", (4 * _K + 24,), _BCACHE),
    Signature("bcachefs", (4 * _K + 24,), _BCACHEFS),
    Signature("reiserfs", (64 * _K + 52, 8 * _K + 52), b"ReIsErFs"),
    Signature("reiserfs", (64 * _K + 52,), b"ReIsEr2Fs"),
    Signature("reiserfs", (64 * _K + 52,), b"ReIsEr3Fs"),
    Signature("reiser4", (64 * _K,), b"ReIsEr4"),
    Signature("jfs", (32 * _K,), b"JFS1"),
    Signature("nilfs2", (_K,), b"\x02\0\0\0\0\0\x34\x34"),
    Signature("hfsplus", (_K,), b"H+\0\x04"),
    Signature("hfsplus", (_K,), b"HX\0\x05"),
    Signature("apfs", (32,), b"NXSB"),
    Signature("ufs", (8 * _K + 1372, 64 * _K + 1372), b"\x19\x01\x54\x19"),
    Signature("ufs", (8 * _K + 1372, 64 * _K + 1372), b"\x54\x19\x01\x00"),
    Signature("cramfs", (0, 512), b"\x45\x3d\xcd\x28"),
    Signature("romfs", (0,), b"-rom1fs-"),
    Signature("gfs2", (64 * _K,), b"\x01\x16\x19\x70"),
    Signature("ocfs2", (_K, 2 * _K, 4 * _K, 8 * _K), b"OCFSV2"),
    Signature("ubi", (0,), b"UBI#"),
    Signature("ubifs", (0,), b"\x31\x18\x10\x06"),
    Signature("composefs", (0,), b"\x9a\x62\x78\xd0"),
    Signature("Stratis", (516,), b"!Stra0tis\x86\xff\x02^\x41rh"),
    Signature("Stratis", (9 * 512 + 4,), b"!Stra0tis\x86\xff\x02^\x41rh"),
    Signature("VDO", (0,), b"dmvdo001"),
    Signature("DRBD", (-4096 + 60,), b"\x83\x74\x02\x6b"),
    Signature("DRBD", (-4096 + 60,), b"\x83\x74\x02\x6d"),
    Signature("LVM1", (0,), b"HM\x01\0"),
    Signature("LVM1", (0,), b"HM\x02\0"),
    Signature("RAID by firmware (IMSM)", (-1024, -8192), b"Intel Raid ISM Cfg Sig. "),
    Signature("RAID by firmware (DDF)", (-512,), b"\xde\x11\xde\x11"),
    Signature("dm-verity", (0,), b"verity\0\0"),
    Signature("dm-integrity", (0,), b"integrt\0"),
    Signature("Ceph BlueStore", (0,), b"bluestore block device"),
)

LAYERS = frozenset(
    {"composefs", "Stratis", "VDO", "DRBD", "bcache", "LVM1", "RAID by firmware (IMSM)", "RAID by firmware (DDF)"}
)
"""They show the same bytes in another way: a file system at the same place is not what the guest mounts."""

_ZFS_LABEL, _ZFS_SIZE, _ZFS_SLOT, _ZFS_ENOUGH = 128 * _K, 128 * _K, _K, 4
_ZFS_MAGIC = (b"\x0c\xb1\xba\0\0\0\0\0", b"\0\0\0\0\0\xba\xb1\x0c")


def signatures_of(source: Source) -> list[Signature]:
    """What of the table a device begins or ends with; each name once."""
    matches: dict[str, Signature] = {}
    pages: dict[int, bytes] = {}
    for signature in SIGNATURES:
        for offset in signature.offsets:
            place = offset if offset >= 0 else source.size + offset
            if signature.name not in matches and _has(source, place, signature.magic, pages):
                matches[signature.name] = signature
    if EMPTY in matches and not _is_swap(source):
        matches[EMPTY] = Signature("swap with something else before it", _PAGES, b"")
    if _is_zfs(source):
        matches["zfs"] = Signature("zfs", (_ZFS_LABEL,), b"")
    if "hibernation" in matches:
        matches.pop(EMPTY, None)  # TuxOnIce leaves that signature where it is
    return list(matches.values())


def _has(source: Source, place: int, magic: bytes, pages: dict[int, bytes]) -> bool:
    """True if the bytes are at the place. What was read is kept, for most signatures lie in few pages."""
    if place < 0 or place + len(magic) > source.size:
        return False
    page = place & ~0xFFF
    if page not in pages:
        pages[page] = source.pread(page, min(4096, source.size - page))
    return pages[page][place - page : place - page + len(magic)] == magic


def _is_swap(source: Source) -> bool:
    """True for the header of swap alone. Its ten letters may stand in the files of a file system that is not known
    here, and Linux may know it: those begin with something in the first KiB, or where the version stands."""
    head = source.pread(0, _K + 4)
    return not any(head[:_K]) and head[_K:] in _SWAP_VERSIONS


def _is_zfs(source: Source) -> bool:
    """True if a label has at least four uberblocks, as libblkid asks: a single one may be any file's bytes."""
    if source.size < _ZFS_LABEL + _ZFS_SIZE:
        return False
    label = source.pread(_ZFS_LABEL, _ZFS_SIZE)
    count = sum(label[start : start + 8] in _ZFS_MAGIC for start in range(0, _ZFS_SIZE, _ZFS_SLOT))
    return count >= _ZFS_ENOUGH
