"""Rock Ridge: fields behind the name of a record, and in other places that they name."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.source import Source

from .record import seconds, seconds_of_long

MOST_CONTINUATIONS = 32
LONGEST_NAME = 253
"""Linux leaves out the field that would make a name longer, and all that follow it (fs/isofs/rock.c,
get_rock_ridge_filename)."""
LONGEST_TARGET = 4095
XA_SIZE = 14
NAME_CONTINUES, NAME_IS_DOT = 1, 6
PART_CONTINUES = 1
CREATION, MODIFICATION, LONG_FORM = 1, 2, 0x80
SPECIAL_PARTS = {0: b"", 2: b".", 4: b"..", 8: b"/"}
TWICE = struct.Struct("<I4x")
FOUR = struct.Struct("<I4xI4xI4xI4x")
"""A number stands in both orders of bytes; Linux reads the first."""


class Zisofs(NamedTuple):
    algorithm: bytes
    block_log: int


class Fields(NamedTuple):
    """What they say; None where they say nothing."""

    name: bytes | None = None
    mode: int | None = None
    links: int = 1
    uid: int = 0
    gid: int = 0
    mtime: int | None = None
    device: tuple[int, int] | None = None
    target: bytes | None = None
    child: int | None = None
    """The block of a folder that was moved elsewhere because it lay too deep."""

    moved: bool = False
    """The record is that of a folder that was moved here: not shown."""

    sparse: bool = False
    zisofs: Zisofs | None = None
    real_size: int | None = None


def raw_fields(source: Source, budget: Budget, block_size: int, area: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The signature and the bytes behind signature, length and version of each. Raises Broken."""
    for _ in range(MOST_CONTINUATIONS):
        following: bytes | None = None
        position = 0
        while position + 4 <= len(area):
            signature, length = area[position : position + 2], area[position + 2]
            if length < 4 and not any(area[position:]):
                break
            if length < 4 or position + length > len(area):
                raise Broken(f"a field of Rock Ridge has {length} bytes")
            budget.step()
            body = area[position + 4 : position + length]
            position += length
            if signature == b"ST":
                break
            if signature == b"CE":
                following = continuation(source, block_size, body)
            else:
                yield signature, body
        if following is None:
            return
        area = following
    raise Broken("the fields of Rock Ridge are continued more than 32 times")


def continuation(source: Source, block_size: int, body: bytes) -> bytes:
    extent, offset, size = (number for (number,) in TWICE.iter_unpack(body[:24]))
    if offset + size > block_size:
        raise Broken("a continuation of Rock Ridge lies beyond its block")
    return source.pread(extent * block_size + offset, size)


def has_rock_ridge(fields: Iterator[tuple[bytes, bytes]]) -> bool:
    """Whether the record of the root says so, as Linux asks."""
    return any(signature == b"ER" for signature, _ in fields)


def area_start(system: bytes) -> int:
    """How many bytes precede the fields in each record but that of the root: what its field SP says."""
    for skipped in (0, XA_SIZE):
        field = system[skipped : skipped + 7]
        if field[:2] == b"SP" and field[4:6] == b"\xbe\xef":
            return field[6]
    return 0


def root_area(system: bytes) -> bytes:
    """The fields of the record of the root, behind the attributes of a CD-ROM XA."""
    return system[XA_SIZE:] if system[XA_SIZE : XA_SIZE + 2] == b"SP" else system


def parse(fields: Iterator[tuple[bytes, bytes]]) -> Fields:
    """Raises Broken."""
    values: dict[str, Any] = {}
    name, name_open = b"", True
    target, target_open = b"", True
    for signature, body in fields:
        match signature:
            case b"NM":
                name_open = name_open and (bool(body[0] & NAME_IS_DOT) or len(name + body[1:]) <= LONGEST_NAME)
                if name_open and not body[0] & NAME_IS_DOT:
                    name += body[1:]
            case b"SL":
                target, target_open = add_target(target, target_open, body)
                values["target"] = target
            case b"PX":
                values["mode"], values["links"], values["uid"], values["gid"] = FOUR.unpack_from(body)
            case b"TF":
                values["mtime"] = modified(body, values.get("mtime"))
            case b"PN":
                values["device"] = device(body)
            case b"CL":
                (values["child"],) = TWICE.unpack_from(body)
            case b"RE":
                values["moved"] = True
            case b"SF":
                values["sparse"] = True
            case b"ZF":
                (values["real_size"],) = TWICE.unpack_from(body, 4)
                values["zisofs"] = Zisofs(body[:2], body[3])
        if len(target) > LONGEST_TARGET:
            raise Broken("a link of Rock Ridge is too long")
    return Fields(name or None, **values)


def device(body: bytes) -> tuple[int, int]:
    """The numbers of a device as Linux puts them together: 12 bits and 20, of which programs write others."""
    (high,), (low,) = TWICE.iter_unpack(body[:16])
    major, minor = (low >> 8, low & 0xFF) if low > 0xFF and not high else (high, low)
    number = (major << 20 | minor) & 0xFFFFFFFF
    return number >> 20, number & 0xFFFFF


def add_target(target: bytes, opened: bool, body: bytes) -> tuple[bytes, bool]:
    """A link with the parts of one more field; `opened`: no slash stands before the next part."""
    position = 1
    while position + 2 <= len(body):
        flags, length = body[position : position + 2]
        text = body[position + 2 : position + 2 + length]
        kind = flags & ~PART_CONTINUES
        if len(text) != length or kind not in SPECIAL_PARTS:
            raise Broken(f"a link of Rock Ridge has a part that is damaged: {body!r} at {position}")
        target += (b"" if opened else b"/") + (SPECIAL_PARTS[kind] or text)
        opened = kind == 8 or bool(flags & PART_CONTINUES)
        position += 2 + length
    return target, opened


def modified(body: bytes, previous: int | None) -> int | None:
    """The time of the last change among those of a field."""
    flags = body[0]
    if not flags & MODIFICATION:
        return previous
    size = 17 if flags & LONG_FORM else 7
    start = 1 + (size if flags & CREATION else 0)
    date = body[start : start + size]
    return seconds_of_long(date) if flags & LONG_FORM else seconds(date)
