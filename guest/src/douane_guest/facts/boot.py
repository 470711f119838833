"""What starts the system: code in boot sectors, programs for UEFI, and the settings of boot loaders."""

from __future__ import annotations

from typing import NamedTuple

from douane_guest.guest import Guest
from douane_guest.source import Source
from douane_guest.tree import Tree

BOOT_CODE = 440
"""Bytes of code in a master boot record, before the signature of the disk and the partitions."""

_SIGNATURES = (
    (b"GRUB", "grub"),
    (b"LILO", "lilo"),
    (b"isolinux", "isolinux"),
    (b"EXTLINUX", "extlinux"),
    (b"SYSLINUX", "syslinux"),
    (b"Missing operating system", "mbr"),
    (b"BOOTMGR", "windows"),
    (b"bootmgr", "windows"),
    (b"NTLDR", "windows"),
)
_PROGRAMS = (
    ("shim", "shim"),
    ("mm", "shim"),
    ("fb", "shim"),
    ("grub", "grub"),
    ("gcd", "grub"),
    ("systemd-boot", "systemd-boot"),
    ("bootmgfw", "windows"),
    ("bootmgr", "windows"),
    ("refind", "refind"),
    ("limine", "limine"),
    ("boot", "default"),
)
_FOLDERS = ("EFI/*/*", "EFI/*")
_WITH_PROGRAMS = ("vfat", "iso9660", "udf")
SETTINGS = (
    *("boot/grub/grub.cfg", "boot/grub2/grub.cfg", "boot/grub/menu.lst", "boot/loader/loader.conf"),
    *("boot/extlinux/extlinux.conf", "boot/extlinux.conf", "boot/syslinux/syslinux.cfg", "boot/limine.conf"),
)
VOLUME_SETTINGS = (
    *("grub/grub.cfg", "grub2/grub.cfg", "loader/loader.conf", "loader/entries", "extlinux/extlinux.conf"),
    *("syslinux.cfg", "limine.conf"),
)
MAX_PROGRAMS = 256


class Loader(NamedTuple):
    """Code that firmware starts."""

    firmware: str
    """``bios`` or ``uefi``."""

    kind: str
    """``grub``, ``shim``, ``systemd-boot``, ``windows``, ...; ``default`` is the program of UEFI's default path;
    ``unknown``."""

    place: str


def sector_loaders(guest: Guest) -> list[Loader]:
    """Code in the boot sector of the disk and of its volumes."""
    loaders = []
    if guest.disk is not None:
        loaders += _in_sector(guest.disk, "disk", named_only=False)
    for volume in guest.volumes:
        if volume.name != "disk":
            loaders += _in_sector(volume.source, volume.name, named_only=True)
    return loaders


def _in_sector(source: Source, place: str, *, named_only: bool) -> list[Loader]:
    """`named_only`: each FAT has code that prints a message."""
    if source.size < 512:
        return []
    sector = source.pread(0, 512)
    if sector[510:] != b"\x55\xaa" or not any(sector[:BOOT_CODE]):
        return []
    kind = next((kind for signature, kind in _SIGNATURES if signature in sector), "unknown")
    return [] if named_only and kind in ("unknown", "mbr") else [Loader("bios", kind, place)]


def program_loaders(guest: Guest) -> list[Loader]:
    """The programs in the folder EFI of volumes that firmware reads."""
    loaders: list[Loader] = []
    for volume in guest.volumes:
        if volume.filesystem not in _WITH_PROGRAMS:
            continue
        tree = guest.tree(volume.name)
        for pattern in _FOLDERS:
            for item in tree.glob(pattern):
                name = item.path.rpartition("/")[2].lower()
                if item.node.kind == "file" and name.endswith(".efi") and len(loaders) < MAX_PROGRAMS:
                    kind = next((kind for begin, kind in _PROGRAMS if name.startswith(begin)), "unknown")
                    loaders.append(Loader("uefi", kind, f"{volume.name}:{item.path}"))
    return loaders


def settings_of(tree: Tree, paths: tuple[str, ...] = SETTINGS) -> list[str]:
    """The files with settings of boot loaders that are there."""
    places = []
    for path in paths:
        if tree.exists(path):
            item = tree.stat(path)
            places.append(f"{item.volume.name}:{item.path}")
    return places
