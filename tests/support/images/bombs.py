"""Images that are small as they arrive and mean to be huge, endless or somewhere else; written piece by piece."""

from __future__ import annotations

import bz2
import lzma
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import lz4.frame

from .compression import raw_deflate
from .ova import beginning, file, ova, ovf
from .tar import tar, tar_header, tar_member

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KIB, MIB, GIB, TIB, PIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40, 1 << 50
ZEROS, PATTERN = bytes(64 * MIB), b"BOMB" * (16 * MIB)


def gzip_of(data: bytes, times: int) -> Iterator[bytes]:
    """One member, with `data` so many times: flushed whole, a run of deflate may stand after itself."""
    yield b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    yield from deflated(data, times)
    yield struct.pack("<II", 0, len(data) * times & 0xFFFFFFFF)  # nobody comes to see that the CRC is wrong


def zip_of_runs(data: bytes, times: int) -> Iterator[bytes]:
    """The same as one file in a zip that was written as a stream."""
    yield struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 8, 8, 0, 0, 0, 0, 0, 8, 0) + b"disk.img"
    yield from deflated(data, times)


def deflated(data: bytes, times: int) -> Iterator[bytes]:
    """One run of deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    once = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(times):
        yield once
    yield raw_deflate(b"")


def zstd_of_runs(byte: bytes, size: int) -> Iterator[bytes]:
    """One frame of blocks that are a byte and how often it comes (RFC 8878, 3.1.1.2.2): 4 bytes for 128 KiB."""
    yield b"\x28\xb5\x2f\xfd\x00" + bytes([17 - 10 << 3])
    run = struct.pack("<I", 128 * KIB << 3 | 1 << 1)[:3] + byte
    for _ in range(size // (128 * MIB)):
        yield run * 1024
    yield struct.pack("<I", 1)[:3]


def packed(name: str, data: bytes, times: int) -> Iterator[bytes]:
    """`data` so many times, in one member each."""
    pack = {
        "bzip2": bz2.compress,
        "xz": lambda data: lzma.compress(data, preset=0),
        "lz4": lambda data: lz4.frame.compress(data, block_size=lz4.frame.BLOCKSIZE_MAX4MB),
        "zstd": zstd.compress,
    }
    once = pack[name](data)
    for _ in range(times):
        yield once


def overlapping_zip(files: int, kernel: int) -> bytes:
    """D. Fifield's: each file quotes the header of the next in a stored block of deflate, and goes on with its data, so
    that all of them end in one run that unpacks to `kernel` bytes ("A better zip bomb", USENIX WOOT 2019)."""
    data = bytes(kernel)
    body, crc_of = raw_deflate(data), data
    locals_, entries = b"", []
    for number in reversed(range(files)):
        name = b"%06d" % number
        sizes = zlib.crc32(crc_of), len(body), len(crc_of)
        header = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, *sizes, 6, 0)
        entries.append((name, sizes, len(header) + 6 + len(body)))
        local = header + name + body
        locals_ = local
        body = struct.pack("<BHH", 0, len(header) + 6, ~(len(header) + 6) & 0xFFFF) + local
        crc_of = header + name + crc_of
    directory = b""
    for name, sizes, from_end in reversed(entries):
        place = len(locals_) - from_end
        entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, *sizes, 6, 0, 0, 0, 0, 0, place)
        directory += entry + name
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, files, files, len(directory), len(locals_), 0)
    return locals_ + directory + end


def endless(flag: bytes, record: bytes, mebibytes: int) -> Iterator[bytes]:
    """An archive that begins as an appliance and goes on with headers of other headers."""
    yield beginning()
    member = tar_member(b"././@LongLink" if flag == b"L" else b"pax", record, flag)
    for _ in range(mebibytes):
        yield member * max(1, MIB // len(member))


def sparse_member(size: int) -> bytes:
    """An appliance whose disk is a block and a hole, `size` bytes in all, as GNU tar writes it."""
    part = b"%011o\0%011o\0" % (0, 512)
    rest = bytes(41) + part + bytes(72) + b"\0" + b"\x80" + size.to_bytes(11, "big")
    return beginning() + tar_header(b"disk.vmdk", 512, b"S", prefix=rest) + bytes(512 + 1024)


def chunked_bomb() -> bytes:
    """An appliance with a compressed disk of 4 GiB, cut into chunks."""
    disk, chunk = b"".join(gzip_of(ZEROS, 64)), MIB
    chunks = [disk[at : at + chunk] for at in range(0, len(disk), chunk)]
    members = [(f"disk.vmdk.{number:09}", part) for number, part in enumerate(chunks)]
    return ova(*members, descriptor=ovf(files=file(compression="gzip", chunkSize=chunk)))


def with_descriptor(descriptor: bytes) -> bytes:
    """An appliance with this descriptor."""
    return tar(("vm.ovf", descriptor), ("disk.vmdk", b"x" * 5000))


def entities(depth: int = 9) -> bytes:
    """A billion laughs."""
    lines = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, depth + 1))
    return (
        f"<!DOCTYPE Envelope [<!ENTITY l0 'lol'>{lines}]>".encode()
        + ovf().replace(b"<Info>", f"<Info>&l{depth};".encode(), 1).partition(b"?>")[2]
    )


def stream_vmdk(vmdk: bytes, *, sectors: int = 0, turn: bool = False) -> bytes:
    """A stream-optimized VMDK that claims `sectors`, or whose second grain leads back to the first."""
    image = bytearray(vmdk)
    if sectors:
        image[12:20] = struct.pack("<Q", sectors)
        image[-1024:-1012] = image[-1024:-1012]
    if turn:
        (overhead,) = struct.unpack_from("<Q", image, 64)
        first = overhead * 512
        (length,) = struct.unpack_from("<I", image, first + 8)
        second = (first + 12 + length + 511) & ~511
        image[second : second + 8] = image[first : first + 8]
    return bytes(image)


def write(path: Path, pieces: Iterator[bytes] | bytes) -> Path:
    """Write them to `path`, one after the other."""
    with path.open("wb") as file:
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            file.write(piece)
    return path
