"""The kernels in a system, or in a volume that holds them alone."""

from __future__ import annotations

import re
from typing import NamedTuple

from douane_guest.tree import Tree
from douane_guest.volume import Item

PATTERNS = ("{boot}vmlinu[xz]*", "{boot}kernel-*", "{boot}Image-*", "{boot}ostree/*/vmlinuz-*", "{boot}EFI/Linux/*.efi")
MODULES = "usr/lib/modules/*/vmlinu[xz]*"
LINUX_SIGNATURE = b"HdrS"
"""At 0x202 of a kernel for x86 (Documentation/arch/x86/boot.rst); the offset of its version, less 0x200, follows at
0x20E."""
VERSION_BYTES = 256

_NAME = re.compile(r"(?:vmlinu[xz]|kernel|Image)-?(.*?)(?:\.efi)?")


class Kernel(NamedTuple):
    """A file of a kernel."""

    volume: str
    path: str
    version: str
    """From its header, else from its name or its folder; empty if neither says it."""


def kernels_of(tree: Tree, boot: str = "boot/") -> list[Kernel]:
    """The kernels; links to others are left out. `boot` is where the folder is: empty for a volume that is one."""
    kernels = {}
    for pattern in [pattern.format(boot=boot) for pattern in PATTERNS] + ([MODULES] if boot else []):
        for item in tree.glob(pattern):
            if item.node.kind == "file":
                kernels[item.volume.name, item.node.ref] = Kernel(item.volume.name, item.path, _version(item))
    return list(kernels.values())


def _version(item: Item) -> str:
    folder, _, name = item.path.rpartition("/")
    match = _NAME.fullmatch(name)
    named = folder.rpartition("/")[2] if "/modules/" in item.path else match[1] if match else ""
    return _header_version(item) or named


def _header_version(item: Item) -> str:
    file = item.open()
    head = file.pread(0, min(file.size, 0x210))
    offset = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    if head[0x202:0x206] != LINUX_SIGNATURE or offset == 0x200 or offset + VERSION_BYTES > file.size:
        return ""
    version = file.pread(offset, VERSION_BYTES).partition(b"\0")[0]
    return version.decode("utf-8", "replace").partition(" ")[0]
