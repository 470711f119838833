"""Members of md arrays without the driver: superblocks of version 1.2 (linux/raid/md_p.h) and the data in its layouts.

mdadm needs the driver to make an array; a test has `mdadm --examine` read what is written here.
"""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

from .pieces import Area, Stripe, copy_into, rounded_size, spread, spread_with_parity
from .workshop import MEBIBYTE, NotBuilt, empty_file

CHUNK = 64 << 10
DATA_OFFSET = MEBIBYTE
MAGIC, VERSION = 0xA92B4EFC, 1
LEFT_SYMMETRIC, NEAR_2 = 2, 0x102
EPOCH = 1_700_000_000
LEVELS = {"linear": -1, "md 0": 0, "md 1": 1, "md 5": 5, "md 6": 6, "md 10": 10}
WIDTHS = {"linear": 2, "md 0": 3, "md 1": 2, "md 5": 3, "md 6": 4, "md 10": 4}


def members_of(kind: str, image: Path, room: Path, devices: int) -> list[Path]:
    """The files of the members of an array with an image in it."""
    width = WIDTHS[kind]
    if devices < width and kind != "md 1":
        raise NotBuilt(f"a disk without partitions has room for one member; {kind} has {width}")
    shares = {"md 1": 1, "md 0": width, "md 5": width - 1, "md 6": width - 2, "md 10": width // 2}[kind]
    size = -(-rounded_size(image) // (shares * MEBIBYTE)) * MEBIBYTE
    files = [empty_file(room / f"member{number}", DATA_OFFSET + size) for number in range(min(width, devices))]
    areas = [Area(file, DATA_OFFSET) for file in files]
    if kind == "md 1":
        for area in areas:
            copy_into(image, area)
    elif kind == "md 0":
        spread(image, CHUNK, areas, lambda number: [(number % width, number // width)])
    elif kind == "md 10":
        spread(image, CHUNK, areas, lambda number: [divmod(number * 2 + copy, width)[::-1] for copy in (0, 1)])
    else:
        spread_with_parity(image, CHUNK, areas, lambda row: left_symmetric(row, width, 1 if kind == "md 5" else 2))
    array = uuid.uuid5(uuid.NAMESPACE_OID, str(room)).bytes
    for number, file in enumerate(files):
        Area(file, 4096).write(0, superblock(kind, array, number, size))
    return files


def left_symmetric(row: int, width: int, parities: int) -> Stripe:
    """The parity moves to the left, and the data follow it around (drivers/md/raid5.c, ALGORITHM_LEFT_SYMMETRIC)."""
    first = width - 1 - row % width
    parity = [(first + number) % width for number in range(parities)]
    return Stripe([(first + parities + number) % width for number in range(width - parities)], parity)


def superblock(kind: str, array: bytes, number: int, size: int) -> bytes:
    """struct mdp_superblock_1, and the roles of the members."""
    level, width = LEVELS[kind], WIDTHS[kind]
    layout = {"md 0": 1, "md 5": LEFT_SYMMETRIC, "md 6": LEFT_SYMMETRIC, "md 10": NEAR_2}.get(kind, 0)
    features = 4096 if kind == "md 0" else 0  # MD_FEATURE_RAID0_LAYOUT
    chunk = 0 if kind == "md 1" else CHUNK // 512
    head = struct.pack("<IIII16s32sQiI", MAGIC, VERSION, features, 0, array, b"any:0", EPOCH, level, layout)
    head += struct.pack("<QIII", 0 if kind == "md 0" else size // 512, chunk, width, 0)
    head += bytes(28)  # no change of the shape
    device = uuid.uuid5(uuid.UUID(bytes=array), str(number)).bytes
    head += struct.pack("<QQQQII16sBBHI", DATA_OFFSET // 512, size // 512, 8, 0, number, 0, device, 0, 0, 0, 0)
    roles = struct.pack(f"<{width}H", *range(width))
    tail = struct.pack("<QQQ", EPOCH, 17, 0xFFFFFFFFFFFFFFFF)
    block = head + tail + struct.pack("<II", 0, width) + bytes(32) + roles
    words = struct.unpack(f"<{len(block) // 4}I", block[: len(block) // 4 * 4])
    total = sum(words) + (struct.unpack("<H", block[-2:])[0] if len(block) % 4 else 0)
    checksum = ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF
    return block[:216] + struct.pack("<I", checksum) + block[220:]
