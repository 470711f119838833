"""LUKS, version 1: an encrypted disk after a header with its keys.

Format: cryptsetup, docs/on-disk-format.pdf. Limits: qcrypto_block_luks_check_header() in qemu, crypto/block-luks.c.
"""

import struct
from itertools import pairwise

from .base import Format
from .requests import Bytes, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC = b"LUKS\xba\xbe"
HEADER_BYTES = 592
KEYS_AT = 4096
SLOTS_AT, SLOT_BYTES, SLOTS = 208, 48, 8
ENABLED, DISABLED = 0x00AC71F3, 0x0000DEAD


class Luks1(Format):
    """Recognised by its magic, in any version but 2, which is another format."""

    name = "luks1"
    about = "an encrypted volume"
    disk_format = "luks"
    declared_as = ("luks",)
    allowed = True

    def begins(self, head: bytes) -> bool:
        return head[:6] == MAGIC and head[6:8] != b"\0\2"

    def read(self, match: "Match") -> "Reader":
        """Read the header. The rest is encrypted."""
        version = int.from_bytes((yield Bytes(6, 2, "the header")), "big")
        match.note("version", version, 6)
        if version != 1:
            match.find("version", f"version is {version}, but must be 1 or 2", 6)
            return
        data = yield Bytes(0, HEADER_BYTES, "the header")
        for name, offset, length in (("cipher-name", 8, 32), ("cipher-mode", 40, 32), ("hash-spec", 72, 32)):
            match.note(name, _text(match, data, name, offset, length), offset)
        payload, key_bytes = struct.unpack_from(">II", data, 104)
        iterations = struct.unpack_from(">I", data, 164)[0]
        match.note("payload-offset", payload, 104)
        match.note("key-bytes", key_bytes, 108)
        match.note("mk-digest-iter", iterations, 164)
        match.note("uuid", data[168:208].split(b"\0")[0].decode("ascii", "replace"), 168)
        match.find("encrypted", "all but the header is encrypted")
        start = payload * 512
        if start < KEYS_AT:
            # a header in a file of its own has 0: the disk is in another file
            match.find("header", f"payload-offset is {payload} sectors: the disk would overlap the header", 104)
            return
        if not iterations:
            match.find("header", "mk-digest-iter is 0", 164)
        _judge_slots(match, data, start, key_bytes)
        match.must_reach(start, "the header with its keys")
        if match.size is not None:
            match.virtual_size = max(0, match.size - start)
        yield Tail(0)
        match.virtual_size = max(0, match.total - start)


def _judge_slots(match: "Match", data: bytes, payload: int, key_bytes: int) -> None:
    regions = []
    for slot in range(SLOTS):
        at = SLOTS_AT + slot * SLOT_BYTES
        active, iterations, key_at, stripes = struct.unpack_from(">II32xII", data, at)
        if active == DISABLED:
            continue
        if active != ENABLED:
            match.find("header", f"key slot {slot} is neither enabled nor disabled: {active:#x}", at)
            continue
        start, end = key_at * 512, key_at * 512 + key_bytes * stripes
        if not iterations or not stripes:
            match.find("header", f"key slot {slot} has {iterations} iterations and {stripes} stripes", at)
        if start < KEYS_AT or end > payload:
            match.find("overlap", f"key slot {slot}, {start} to {end}, overlaps the header or the disk", at)
        regions.append((start, end, slot))
    regions.sort()
    for (_, end, slot), (start, _, next_slot) in pairwise(regions):
        if start < end:
            match.find("overlap", f"key slots {slot} and {next_slot} overlap")
    match.note("keys", len(regions), SLOTS_AT)


def _text(match: "Match", data: bytes, name: str, offset: int, length: int) -> str:
    raw = data[offset : offset + length]
    if b"\0" not in raw:
        match.find("header", f"{name} has no terminating NUL", offset)
    return raw.split(b"\0")[0].decode("ascii", "replace")
