"""The containers: one line each. Which one a file is, is asked of all."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.signatures import may_be
from douane_guest.source import Source

from .base import Container, Disk
from .raw import RawDisk

CONTAINERS = ("qcow2", "vmdk", "vhd", "vhdx", "vdi", "qed")
"""Modules of this package with the functions `probe` and `open` (:class:`~.base.Container`). What none of them is, is
raw."""

SIGNATURES: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "qcow2": (0, (b"QFI\xfb",)),
    "vhdx": (0, (b"vhdxfile",)),
    "vdi": (64, (b"\x7f\x10\xda\xbe",)),
    "qed": (0, (b"QED\0",)),
}
"""See `filesystems.registry.SIGNATURES`."""

_UNREAD = (
    (0, b"QFI\xfb\0\0\0\1", "qcow, version 1"),
    (0, b"WithoutFreeSpace", "Parallels"),
    (0, b"WithouFreSpacExt", "Parallels"),
    (0, b"Bochs Virtual HD Image", "Bochs"),
    (0, b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
    (0, b"EVF\t\r\n\xff\0", "EWF"),
    (-512, b"koly", "DMG"),
)
"""Offset (of a negative one, from the end), signature and name of containers that are not read here."""


def open_disk(source: Source, budget: Budget) -> Disk:
    """The disk in the file of an image. Raises Broken if the file is two containers: programs would differ in what they
    read."""
    names = [name for name in CONTAINERS if may_be(source, SIGNATURES.get(name)) and _module(name).probe(source)]
    if len(names) > 1:
        raise Broken(f"the file is ambiguous: it is a {names[0]} to some programs, and a {names[1]} to others")
    if names:
        return _module(names[0]).open(source, budget)
    for offset, signature, name in _UNREAD:
        at = offset if offset >= 0 else source.size + offset
        if 0 <= at <= source.size - len(signature) and source.pread(at, len(signature)) == signature:
            raise Unsupported(f"the file is an image of the format {name}, which is not read")
    return RawDisk(source, budget)


def _module(name: str) -> Container:
    return cast("Container", import_module(f"douane_guest.containers.{name}"))
