"""Sector 0 of a raw disk: what its four partition entries say, and which sectors only look like partition tables."""

from .raw_content import u16, u32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SECTOR = 512
PROTECTIVE = 0xEE
EXTENDED = (0x05, 0x0F, 0x85)
"""DOS, Windows 95 and Linux: the types that Linux' block/partitions/msdos.c takes for extended partitions."""


class Partition:
    """An entry of a partition table. `start` and `count` in sectors; `end` is the first sector behind it; `at` is the
    entry's offset in the image in bytes."""

    __slots__ = ("active", "at", "count", "kind", "name", "start")

    def __init__(self, name: str, kind: int, start: int, count: int, active: int, at: int) -> None:
        self.name, self.kind, self.start, self.count, self.active, self.at = name, kind, start, count, active, at

    @property
    def end(self) -> int:
        return self.start + self.count


def entries(sector: bytes, at: int = 0, name: str = "partition ") -> list[Partition]:
    """The four entries of the table in `sector`, which stands at `at` in the image, the empty ones included."""
    return [
        Partition(
            f"{name}{number + 1}",
            sector[446 + 16 * number + 4],
            u32(sector, 446 + 16 * number + 8),
            u32(sector, 446 + 16 * number + 12),
            sector[446 + 16 * number],
            at + 446 + 16 * number,
        )
        for number in range(4)
    ]


def used(partitions: "Iterable[Partition]") -> list[Partition]:
    """Those that are not empty. Type 0 is in use in hybrid ISOs (Debian's), with a size."""
    return [one for one in partitions if one.count]


def signed(head: bytes) -> bool:
    """Sector 0 ends with 55 AA."""
    return head[510:512] == b"\x55\xaa"


def is_table(head: bytes) -> bool:
    """Sector 0 is a partition table, and not the boot sector of a file system or a kernel, which end with 55 AA too.

    The rules are those of libblkid (libblkid/src/partitions/dos.c) and Linux (block/partitions/msdos.c): flags of 0 or
    80 hex only, one entry at least in use, and no FAT (``mkfs.fat --mbr`` writes a table into one), exFAT or NTFS.
    """
    if len(head) < SECTOR or not signed(head):
        return False
    four = entries(head)
    if any(one.active not in (0, 0x80) for one in four) or not used(four):
        return False
    return not (is_volume_boot_sector(head) or is_kernel_setup(head))


def has_protective(head: bytes) -> bool:
    """Sector 0 has an entry that keeps tools off a disk with a GPT (UEFI 2.10, 5.2.3; Linux: pmbr_part_valid)."""
    if len(head) < SECTOR or not signed(head):
        return False
    return any(one.kind == PROTECTIVE and one.start == 1 for one in entries(head))


def is_fat(head: bytes) -> bool:
    """Sector 0 is the boot sector of a FAT: a jump, and a BIOS parameter block that can be (Microsoft's fatgen103;
    Linux: fat_read_bpb)."""
    if len(head) < SECTOR:
        return False
    size, per_cluster, reserved, tables, media = u16(head, 11), head[13], u16(head, 14), head[16], head[21]
    return (
        size in (512, 1024, 2048, 4096)
        and per_cluster != 0
        and not per_cluster & (per_cluster - 1)
        and reserved != 0
        and tables in (1, 2)
        and (media >= 0xF8 or media == 0xF0)
        and (u16(head, 19) != 0 or u32(head, 32) != 0)
        and (u16(head, 22) != 0 or u32(head, 36) != 0)
    )


def is_volume_boot_sector(head: bytes) -> bool:
    """Sector 0 belongs to a file system of Microsoft's: FAT, exFAT, NTFS, ReFS or BitLocker."""
    return is_fat(head) or head[3:11] in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-", b"ReFS\0\0\0\0")


def is_kernel_setup(head: bytes) -> bool:
    """Sector 0 is that of a Linux kernel for x86: ``HdrS`` at 202 hex (Documentation/arch/x86/boot.rst)."""
    return head[0x202:0x206] == b"HdrS" and signed(head)


def overlaps(ranges: "Iterable[tuple[int, int, str]]") -> "tuple[str, str] | None":
    """The names of two of `ranges` (first, behind the last, name) that share something; None if there are none."""
    before, of = -1, ""
    for first, end, name in sorted(ranges):
        if first < before:
            return of, name
        if end > before:
            before, of = end, name
    return None
