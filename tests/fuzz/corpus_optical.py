"""Seeds of optical discs, by hand: ISO 9660 (ECMA-119), a hybrid with partition tables, and UDF (ECMA-167)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from corpus_by_hand import gpt, mbr

SECTOR = 2048


def images() -> dict[str, bytes]:
    """All of them, by name."""
    plain = iso()
    table = gpt(len(plain) // 512)
    udf = disc(_recognition(18), 300)
    return {
        "iso": plain,
        "iso-hybrid-mbr": mbr(len(plain))[:512] + plain[512:],
        "iso-hybrid-gpt": table[: 16 * SECTOR] + plain[16 * SECTOR : -33 * 512] + table[-33 * 512 :],
        "iso-udf": disc([*_volumes(300), *_recognition(18)], 300, anchor=True),
        "udf": udf[: 256 * SECTOR] + disc(_recognition(16), 300, anchor=True)[256 * SECTOR :],
        "udf-only": disc(_recognition(16), 300, anchor=True),
        "iso-and-qcow2-header": b"QFI\xfb\0\0\0\3" + plain[8:],
    }


def iso() -> bytes:
    """A volume with an empty root directory."""
    return disc(_volumes(64), 64)


def disc(sectors: Iterable[tuple[int, bytes]], total: int, *, anchor: bool = False) -> bytes:
    """`sectors` by number, in a disc of `total`."""
    image = bytearray(total * SECTOR)
    for number, data in sectors:
        image[number * SECTOR : number * SECTOR + len(data)] = data
    if anchor:
        for number in (256, total - 1):
            image[number * SECTOR : number * SECTOR + 512] = _anchor(number)
    return bytes(image)


def _both(value: int, form: str = "I") -> bytes:
    return struct.pack(f"<{form}", value) + struct.pack(f">{form}", value)


def _volumes(total: int) -> list[tuple[int, bytes]]:
    record = b"\x22\0" + _both(20) + _both(SECTOR) + bytes(7) + b"\2\0\0" + _both(1, "H") + b"\1\0"
    primary = bytearray(SECTOR)
    primary[0:7] = b"\1CD001\1"
    primary[8:72] = b"LINUX".ljust(32) + b"DOUANE".ljust(32)
    primary[80:88] = _both(total)
    primary[120:132] = _both(1, "H") + _both(1, "H") + _both(SECTOR, "H")
    primary[132:140] = _both(10)
    struct.pack_into("<I", primary, 140, 18)
    struct.pack_into(">I", primary, 148, 19)
    primary[156 : 156 + len(record)] = record
    primary[881] = 1
    boot = b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + struct.pack("<I", 21)
    path = b"\1\0" + struct.pack("<IH", 20, 1) + b"\0\0"
    return [
        (16, bytes(primary)),
        (17, b"\xffCD001\1"),
        (18, path),
        (19, path),
        (20, record + record[:-1] + b"\1"),
        (21, boot),
    ]


def _recognition(first: int) -> list[tuple[int, bytes]]:
    return [(first + place, b"\0" + name + b"\1") for place, name in enumerate((b"BEA01", b"NSR02", b"TEA01"))]


def _anchor(number: int) -> bytes:
    """Anchor volume descriptor pointer (ECMA-167 3/10.2) with a right tag: checksum, and CRC of ITU-T V.41."""
    body = struct.pack("<IIII", 16 * SECTOR, 32, 16 * SECTOR, 48).ljust(496, b"\0")
    crc = 0
    for byte in body:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    tag = bytearray(struct.pack("<HHBBHHHI", 2, 2, 0, 0, 1, crc, len(body), number))
    tag[4] = (sum(tag) - tag[4]) & 0xFF
    return bytes(tag) + body
