"""Kernels and initial RAM disks, Glance's ``aki`` and ``ari``: images that are not disks."""

from douane_guest.headers import mbr as boot_sectors
from douane_guest.headers.numbers import u16, u32

from .raw_content import Content, read_whole_disk
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader


def kind_of(head: bytes) -> str:
    """``bzImage``, ``ELF`` or ``ARM64``; empty if the image does not begin as a kernel."""
    if boot_sectors.is_kernel_setup(head):
        return "bzImage"  # Documentation/arch/x86/boot.rst
    if head[56:60] == b"ARM\x64":
        return "ARM64"  # Documentation/arch/arm64/booting.rst
    if head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2) or head[6] != 1:
        return ""
    # vmlinux is linked to a fixed address (ET_EXEC) or relocatable (ET_DYN); so are programs, which look the same
    return "ELF" if int.from_bytes(head[16:18], "little" if head[5] == 1 else "big") in (2, 3) else ""


class Kernel(Content):
    """A kernel of Linux, or an ELF program."""

    name = "kernel"
    about = "a Linux kernel; Glance's `aki`"
    disk_format = "aki"
    declared_as = ("aki",)

    def begins(self, head: bytes) -> bool:
        return bool(kind_of(head))

    def read(self, match: "Match") -> "Reader":
        head = yield Bytes(0, 0x400, "the beginning", short=True)
        match.variant = kind_of(head)
        if match.variant == "bzImage":
            match.note("boot protocol", f"{head[0x207]}.{head[0x206]:02}", 0x206)
            match.note("sectors of setup code", head[0x1F1] or 4, 0x1F1)
            match.note("bytes of the kernel", u32(head, 0x1F4) * 16, 0x1F4)
        elif match.variant == "ELF":
            match.note("machine", u16(head, 18), 18)
        yield from read_whole_disk(match)


class InitialRamDisk(Content):
    """A cpio archive as Linux unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst).

    A compressed initramfs is matched by its compression."""

    name = "initramfs"
    about = "an initial RAM disk; Glance's `ari`"
    disk_format = "ari"
    declared_as = ("ari",)

    def begins(self, head: bytes) -> bool:
        return head[:6] in (b"070701", b"070702") and all(byte in b"0123456789abcdefABCDEF" for byte in head[6:110])

    def read(self, match: "Match") -> "Reader":
        match.variant = "cpio"
        yield from read_whole_disk(match)
