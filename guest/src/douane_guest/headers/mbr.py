"""Sector 0 of a raw disk: its four partition entries, and the sectors that only look like partition tables."""

from .numbers import u16, u32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SECTOR = 512
PROTECTIVE = 0xEE
EXTENDED = (0x05, 0x0F, 0x85)
"""The types of extended partitions of DOS, Windows 95 and Linux (Linux: block/partitions/msdos.c)."""


class MbrPartition:
    """An entry of a partition table. `start` and `count` are in sectors; `end` is the first sector after the partition;
    `at` is the offset of the entry in the image in bytes."""

    __slots__ = ("active", "at", "count", "kind", "name", "start")

    def __init__(self, name: str, kind: int, start: int, count: int, active: int, at: int) -> None:
        self.name, self.kind, self.start, self.count, self.active, self.at = name, kind, start, count, active, at

    @property
    def end(self) -> int:
        """The first sector after the partition."""
        return self.start + self.count


def read_entries(sector: bytes, at: int = 0, name: str = "partition ") -> list[MbrPartition]:
    """The four entries of the table in `sector`, empty entries included; `at` is the offset of the sector."""
    return [
        MbrPartition(
            f"{name}{number + 1}",
            sector[446 + 16 * number + 4],
            u32(sector, 446 + 16 * number + 8),
            u32(sector, 446 + 16 * number + 12),
            sector[446 + 16 * number],
            at + 446 + 16 * number,
        )
        for number in range(4)
    ]


def used(partitions: "Iterable[MbrPartition]") -> list[MbrPartition]:
    """The partitions with a size. Hybrid ISOs (Debian's) use type 0."""
    return [partition for partition in partitions if partition.count]


def is_signed(head: bytes) -> bool:
    """True if sector 0 ends with 55 AA."""
    return head[510:512] == b"\x55\xaa"


def is_table(head: bytes) -> bool:
    """True if sector 0 is a partition table, not the boot sector of a file system or kernel, which end with 55 AA too.

    The rules of libblkid (libblkid/src/partitions/dos.c) and Linux (block/partitions/msdos.c): all flags are 0 or 80
    hex, at least one entry is in use, and there is no FAT (``mkfs.fat --mbr`` writes a table into FAT), exFAT or NTFS.
    """
    return has_entries(head) and not (is_volume_boot_sector(head) or is_kernel_setup(head))


def has_entries(head: bytes) -> bool:
    """True if sector 0 has entries in use as a partition table has them, whatever else it is."""
    if len(head) < SECTOR or not is_signed(head):
        return False
    table = read_entries(head)
    return all(entry.active in (0, 0x80) for entry in table) and bool(used(table))


def has_protective(head: bytes) -> bool:
    """True if sector 0 has the entry that protects a GPT from old tools (UEFI 2.10, 5.2.3; Linux: pmbr_part_valid)."""
    if len(head) < SECTOR or not is_signed(head):
        return False
    return any(entry.kind == PROTECTIVE and entry.start == 1 for entry in read_entries(head))


def is_fat(head: bytes) -> bool:
    """True if sector 0 has a plausible BIOS parameter block of FAT (Microsoft's fatgen103; Linux: fat_read_bpb)."""
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
    """True if sector 0 belongs to FAT, exFAT, NTFS, ReFS or BitLocker."""
    return is_fat(head) or head[3:11] in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-", b"ReFS\0\0\0\0")


def is_kernel_setup(head: bytes) -> bool:
    """True if sector 0 is of a Linux kernel for x86: ``HdrS`` at 202 hex (Documentation/arch/x86/boot.rst)."""
    return head[0x202:0x206] == b"HdrS" and is_signed(head)


def find_overlap(ranges: "Iterable[tuple[int, int, str]]") -> "tuple[str, str] | None":
    """The names of two of `ranges` (start, end, name) that overlap; None if none do."""
    furthest, furthest_name = -1, ""
    for start, end, name in sorted(ranges):
        if start < furthest:
            return furthest_name, name
        if end > furthest:
            furthest, furthest_name = end, name
    return None
