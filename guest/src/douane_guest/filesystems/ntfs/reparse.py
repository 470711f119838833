"""Reparse points: links, special files, and files whose bytes are elsewhere (MS-FSCC, section 2.1.2)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken
from douane_guest.filesystems.base import BLOCK, CHAR, FIFO, LINK, SOCKET
from douane_guest.filesystems.fat.names import utf8

_HEADER = struct.Struct("<IHH")
_NAMES = struct.Struct("<HHHH")
_JUNCTION, _SYMLINK, _LINUX_LINK = 0xA0000003, 0xA000000C, 0xA000001D
_KINDS = {
    _JUNCTION: LINK,
    _SYMLINK: LINK,
    _LINUX_LINK: LINK,
    0x80000023: SOCKET,
    0x80000024: FIFO,
    0x80000025: CHAR,
    0x80000026: BLOCK,
}
_ELSEWHERE = {
    0x80000013: "the file is deduplicated: its bytes are in a store of chunks",
    0x80000018: "the file is in a layer of Windows' containers, and its bytes in a layer below",
    0x80000008: "the file's bytes are in a WIM image",
    0x80000007: "the file's bytes are in a store of single instances",
    0x80000015: "the file's bytes are with a cloud (OneDrive)",
    0x80000021: "the file's bytes are with a cloud (OneDrive)",
    0x9000001C: "the file's bytes are projected by a program (ProjFS)",
}
_CLOUD, _CLOUD_MASK = 0x9000001A, 0xFFFF0FFF
"""Sixteen tags, of which each cloud has one."""

_APPLICATION = 0x8000001B
"""An alias of an application, which every Windows 10 has: a file without bytes. Linux does not show its target."""
_OF_MICROSOFT = 0x80000000
_OVERLAY = 0x80000017


class Reparse(NamedTuple):
    """What a reparse point makes of its file."""

    kind: str | None
    """None: it stays a file, or a folder."""

    target: bytes
    """Of a link."""

    unread: str
    """Why the bytes of the file cannot be read; empty if they can."""

    overlay: bytes | None = None
    """What the Windows Overlay Filter keeps of the file; None if the file is not of it."""


def parse(data: bytes) -> Reparse:
    """The value of the attribute."""
    tag, length, _ = _HEADER.unpack_from(data)
    start = _HEADER.size if tag & _OF_MICROSOFT else _HEADER.size + 16
    if start + length > len(data):
        raise Broken("a reparse point of NTFS is longer than its attribute")
    body = data[start : start + length]
    if tag == _OVERLAY:
        return Reparse(None, b"", "", body)
    kind = _KINDS.get(tag)
    if tag == _APPLICATION:
        return Reparse(None, b"", "")
    if kind is None:
        return Reparse(None, b"", _elsewhere(tag))
    return Reparse(kind, _target(tag, body) if kind == LINK else b"", "")


def _elsewhere(tag: int) -> str:
    if tag & _CLOUD_MASK == _CLOUD:
        return "the file's bytes may be with a cloud (OneDrive)"
    return _ELSEWHERE.get(tag, f"the file is a reparse point with the unknown tag {tag:#010x}")


def _target(tag: int, body: bytes) -> bytes:
    """As Linux shows it: the name that is printed, with slashes. A drive or a device at its beginning stays."""
    if tag == _LINUX_LINK:
        target = body[4:]
    else:
        place, length, print_place, print_length = _NAMES.unpack_from(body)
        names = body[_NAMES.size + (4 if tag == _SYMLINK else 0) :]
        start, count = (print_place, print_length) if print_length else (place, length)
        if start + count > len(names):
            raise Broken("the target of a link of NTFS lies outside of its attribute")
        target = utf8(names[start : start + count]).replace(b"\\", b"/").removeprefix(b"/??/")
    if not target or b"\0" in target:
        raise Broken("a link of NTFS has no target")
    return target
