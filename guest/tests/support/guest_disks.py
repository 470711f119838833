"""Images in every container, made by qemu-img from one raw disk; and mutants of them."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from douane_guest.budget import Budget
from douane_guest.containers.base import Disk
from douane_guest.containers.registry import open_disk
from douane_guest.errors import GuestError
from douane_guest.source import BytesSource, FileSource, Source

SIZE = (24 << 20) + 512 * 7
"""Not a multiple of any block."""

CONTAINERS = {
    "raw": ("raw", ""),
    "qcow2": ("qcow2", ""),
    "qcow2 version 2": ("qcow2", "compat=0.10"),
    "qcow2 clusters of 512": ("qcow2", "cluster_size=512"),
    "qcow2 clusters of 2M": ("qcow2", "cluster_size=2M"),
    "qcow2 preallocated": ("qcow2", "preallocation=metadata"),
    "qcow2 extended L2": ("qcow2", "extended_l2=on"),
    "qcow2 zlib": ("qcow2", "-c"),
    "qcow2 zlib, version 2, clusters of 4K": ("qcow2", "-c compat=0.10,cluster_size=4k"),
    "qcow2 zstd": ("qcow2", "-c compression_type=zstd"),
    "qcow2 zstd, extended L2": ("qcow2", "-c compression_type=zstd,extended_l2=on"),
    "vmdk sparse": ("vmdk", "subformat=monolithicSparse"),
    "vmdk stream": ("vmdk", "subformat=streamOptimized"),
    "vhd dynamic": ("vpc", "force_size=on"),
    "vhd fixed": ("vpc", "subformat=fixed,force_size=on"),
    "vhdx dynamic": ("vhdx", "subformat=dynamic"),
    "vhdx fixed": ("vhdx", "subformat=fixed"),
    "vhdx blocks of 1M": ("vhdx", "block_size=1M"),
    "vdi": ("vdi", ""),
    "vdi static": ("vdi", "static=on"),
    "qed": ("qed", ""),
    "qed small": ("qed", "cluster_size=4096,table_size=2"),
}
"""Format and options of qemu-img, by a name for tests. ``-c``: compressed."""


def make_raw(path: Path, size: int = SIZE, seed: int = 1) -> Path:
    """A disk with noise, text and holes in pieces of odd lengths, and a few bytes at its end."""
    chance = random.Random(seed)
    with path.open("wb") as file:
        file.truncate(size)
        at = 0
        while at < size:
            length = chance.choice((512, 3000, 60_000, 130_000, 1 << 20, 3 << 20))
            kind = chance.choice(("noise", "text", "hole", "hole"))
            length = min(length, size - at)
            if kind == "noise":
                os.pwrite(file.fileno(), chance.randbytes(length), at)
            elif kind == "text":
                os.pwrite(file.fileno(), (b"text that can be packed %d\n" % at * (length // 20 + 1))[:length], at)
            at += length
        os.pwrite(file.fileno(), b"the end", size - 7)
    return path


def convert(raw: Path, target: Path, driver: str, options: str) -> Path:
    """Make an image with qemu-img."""
    words = ["qemu-img", "convert", "-f", "raw", "-O", driver]
    if options.startswith("-c"):
        words.append("-c")
        options = options.removeprefix("-c").strip()
    if options:
        words += ["-o", options]
    subprocess.run([*words, raw, target], check=True, capture_output=True)
    return target


def opened(path: Path, budget: Budget | None = None) -> Disk:
    """The disk of an image; the descriptor stays open as long as the test runs."""
    return open_disk(FileSource(os.open(path, os.O_RDONLY)), budget or Budget())


def digest(source: Source, step: int = 1 << 20) -> str:
    """The sha256 of all bytes."""
    value = hashlib.sha256()
    for at in range(0, source.size, step):
        value.update(source.pread(at, min(step, source.size - at)))
    return value.hexdigest()


class Watched:
    """A source that remembers which bytes were read."""

    def __init__(self, source: Source) -> None:
        self._source, self.size = source, source.size
        self.ranges: list[tuple[int, int]] = []

    def pread(self, offset: int, count: int) -> bytes:
        self.ranges.append((offset, count))
        return self._source.pread(offset, count)


def mutants(data: bytes, ranges: Iterable[tuple[int, int]], count: int, seed: int) -> Iterable[bytes]:
    """Copies of `data` with 1 to 16 changes in bytes of `ranges`: a bit, an interesting number, or noise."""
    chance = random.Random(seed)
    places = sorted(set(ranges))
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(chance.randint(1, 16)):
            start, length = chance.choice(places)
            at = start + chance.randrange(max(1, length))
            if at >= len(mutant):
                continue
            kind = chance.randrange(3)
            if kind == 0:
                mutant[at] ^= 1 << chance.randrange(8)
            elif kind == 1:
                number = chance.choice((0, 1, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 1 << 63, len(data)))
                change = number.to_bytes(8, chance.choice(("big", "little")))[: chance.choice((1, 2, 4, 8))]
                mutant[at : at + len(change)] = change
            else:
                mutant[at : at + 4] = chance.randbytes(4)
        yield bytes(mutant[: len(data)])


def outcome(data: bytes, read: Callable[[Source, Budget], object], steps: int = 2_000_000) -> str:
    """The code of what `read` raises of the three exceptions, or "read". Anything else leaves."""
    try:
        read(BytesSource(data), Budget(steps=steps))
    except GuestError as error:
        return error.code
    return "read"
