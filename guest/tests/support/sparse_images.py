"""Small images in a file of their blocks that are not zeros, and what the kernel shows of them."""

from __future__ import annotations

import base64
import json
import lzma
from pathlib import Path

from guest_trees import Facts

from douane_guest.errors import Broken

BLOCK = 4096
_RECORD = BLOCK + 4


class SparseSource:
    """An image in memory; blocks that are not listed are zeros."""

    def __init__(self, size: int, blocks: dict[int, bytes]) -> None:
        self.size = size
        self.blocks = blocks

    def pread(self, offset: int, count: int) -> bytes:
        if offset < 0 or count < 0 or offset + count > self.size:
            raise Broken(f"{count} bytes at {offset} of {self.size}")
        first, last = offset // BLOCK, -(-(offset + count) // BLOCK)
        zeros = bytes(BLOCK)
        data = b"".join([self.blocks.get(number, zeros) for number in range(first, last)])
        return data[offset - first * BLOCK :][:count]


def pack(image: Path, packed: Path) -> None:
    """Write `image` as the blocks of it that are not zeros."""
    records = [image.stat().st_size.to_bytes(8, "little")]
    with image.open("rb") as file:
        number = 0
        while block := file.read(BLOCK):
            if block.count(0) != len(block):
                records.append(number.to_bytes(4, "little") + block.ljust(BLOCK, b"\0"))
            number += 1
    packed.write_bytes(lzma.compress(b"".join(records), preset=9))


def load(packed: Path) -> SparseSource:
    data = lzma.decompress(packed.read_bytes())
    blocks = {
        int.from_bytes(data[start : start + 4], "little"): data[start + 4 : start + _RECORD]
        for start in range(8, len(data), _RECORD)
    }
    return SparseSource(int.from_bytes(data[:8], "little"), blocks)


def write_truth(path: Path, facts: dict[bytes, Facts]) -> None:
    """The facts as JSON; names in Base64, since they are bytes."""
    rows = {
        base64.b64encode(name).decode(): [
            base64.b64encode(field).decode() if isinstance(field, bytes) else field for field in fact
        ]
        for name, fact in sorted(facts.items())
    }
    path.write_bytes(lzma.compress(json.dumps(rows).encode()))


def read_truth(path: Path) -> dict[bytes, Facts]:
    facts = {}
    for name, row in json.loads(lzma.decompress(path.read_bytes())).items():
        fact = Facts(*row)
        target = None if fact.target is None else base64.b64decode(fact.target)
        facts[base64.b64decode(name)] = fact._replace(target=target)
    return facts
