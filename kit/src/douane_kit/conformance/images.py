"""Small images that are what they seem to be, and plain ones: where the search begins."""

from __future__ import annotations

import binascii
import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Iterator

SECTOR = 512


def filler(size: int, seed: int) -> bytes:
    """Bytes without any pattern."""
    return random.Random(seed).randbytes(size)


def plain(seed: int) -> Iterator[bytes]:
    """Without a structure: nothing, one byte, and more of them."""
    yield b""
    for value in (0x00, 0x41, 0xFF):
        yield bytes([value])
    for size in (2, 3, 4, 5, 7, 8, 12, 15, 16, 31, 33, 63, 64, 127, 255, 511, 512, 513, 1024, 4096):
        yield bytes(size)
        yield filler(size, seed + size)
        yield b"\xff" * size
    for size in (1 << 16, 1 << 20):
        yield filler(size, seed + size)
        yield bytes(size)
        yield b"\xff" * size
    yield b"The quick brown fox jumps over the lazy dog.\n" * 24
    yield bytes(range(256)) * 5
    yield b" \t\r\n" * 300
    yield "schöne Grüße €\n".encode() * 20
    yield b"\x80\xff\xfe\xed" * 100
    yield bytes((5 << 20) + 3)


def payload(seed: int) -> bytes:
    """What containers hold."""
    return b"the payload of a container\n" * 40 + filler(150_001, seed)


def containers(seed: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, bytes, and what a transform that unpacks it must make of it."""
    inside = payload(seed)
    yield "gzip", gzip.compress(inside, mtime=0), inside
    yield "zlib", zlib.compress(inside), inside
    yield "bzip2", bz2.compress(inside), inside
    yield "xz", lzma.compress(inside), inside
    yield "lzma", lzma.compress(inside, format=lzma.FORMAT_ALONE), inside
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", method) as archive:
            archive.writestr(zipfile.ZipInfo("disk.img"), inside, method)
        yield "zip", held.getvalue(), inside
    yield "tar", _tar({"disk.img": inside}), inside


def _tar(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return held.getvalue()


def real(seed: int) -> Iterator[tuple[str, bytes]]:
    """Images and archives, as small as they can be."""
    yield "mbr", mbr(seed)
    yield "mbr", mbr(seed, kinds=(0x07, 0x83, 0x82, 0x05))
    yield "gpt", gpt(seed, 3)
    yield "gpt", gpt(seed, 128)
    yield "qcow2", qcow2()
    yield "qcow2", qcow2(backing=b"/etc/passwd")
    yield "qcow2", qcow2(version=2)
    yield "qcow", struct.pack(">4sI", b"QFI\xfb", 1) + bytes(60)
    yield "vmdk", b"KDMV" + struct.pack("<IIQQQQIQQQ", 1, 3, 2048, 128, 1, 20, 512, 0, 21, 128) + bytes(4096)
    yield "vmdk", b'# Disk DescriptorFile\nversion=1\nCID=fffffffe\ncreateType="monolithicFlat"\n' + bytes(900)
    yield "vhd", filler(2048, seed) + vhd_footer(2048)
    yield "vhdx", b"vhdxfile" + "Douane".encode("utf-16-le") + bytes(4096)
    yield "vdi", b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + struct.pack("<II", 0xBEDA107F, 0x10001)
    yield "luks", b"LUKS\xba\xbe" + struct.pack(">H", 1) + bytes(1024)
    yield "luks", b"LUKS\xba\xbe" + struct.pack(">HQ", 2, 16384) + bytes(4096)
    yield "iso", iso()
    yield "ext4", bytes(1024 + 56) + b"\x53\xef" + bytes(3000)
    yield "elf", b"\x7fELF\x02\x01\x01" + bytes(200)
    yield "script", b"#!/bin/sh\nexit 0\n"
    yield "xml", b'<?xml version="1.0"?><Envelope><References/></Envelope>'
    yield "json", b'{"name": "image", "size": 12, "list": [1, 2, 3]}'
    for text in (
        b"{}",
        b"[]",
        b"null",
        b'"text"',
        b"12",
        b"-1.5e999",
        b"<a></a>",
        b"<",
        b"{",
        b"a,b\n1,2\n",
        b"=\n=",
        b":",
    ):
        yield "text", text
    yield "text", b"key = value\n[section]\nother: 12\n" * 4
    yield "tar", _tar({"box.ovf": b"<Envelope/>", "disk.vmdk": b"KDMV" + bytes(600)})
    yield "tar", _tar({f"file-{number}": b"x" * number for number in range(100)})
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for number in range(100):
            archive.writestr(zipfile.ZipInfo(f"file-{number}"), b"x" * number)
    yield "zip", held.getvalue()
    yield "gzip", gzip.compress(b"small", mtime=0)
    yield "gzip", gzip.compress(bytes(200_000), mtime=0)
    yield "zstd", bytes.fromhex("28b52ffd") + bytes(40)
    yield "pem", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    for name, data, _ in containers(seed):
        yield name, data


def mbr(seed: int, kinds: tuple[int, ...] = (0x83,)) -> bytes:
    """A disk with a partition table (IBM PC, offset 446)."""
    table = b"".join(
        struct.pack("<B3sB3sII", 0x80 if not number else 0, b"\1\1\0", kind, b"\xfe\xff\xff", 1 + 2 * number, 2)
        for number, kind in enumerate(kinds)
    )
    return filler(440, seed) + bytes(6) + table.ljust(64, b"\0") + b"\x55\xaa" + filler(12 * SECTOR, seed + 1)


def gpt(seed: int, partitions: int) -> bytes:
    """A disk with a GUID partition table (UEFI specification, 5.3)."""
    names = [uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")]
    entries = b"".join(
        struct.pack(
            "<16s16sQQQ72s",
            names[number % 2].bytes_le,
            uuid.UUID(int=number + 1).bytes_le,
            34 + number,
            34 + number,
            0,
            f"part-{number}".encode("utf-16-le"),
        )
        for number in range(partitions)
    ).ljust(128 * 128, b"\0")

    def header(crc: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART",
            0x10000,
            92,
            crc,
            0,
            1,
            200,
            34,
            180,
            uuid.UUID(int=seed + 1).bytes_le,
            2,
            128,
            128,
            binascii.crc32(entries),
        )

    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, 200)
    first = bytes(446) + protective.ljust(64, b"\0") + b"\x55\xaa"
    return first + header(binascii.crc32(header(0))).ljust(SECTOR, b"\0") + entries + filler(60 * SECTOR, seed)


def qcow2(*, version: int = 3, backing: bytes = b"") -> bytes:
    """A qcow2 image of 1 MiB that is empty (docs/interop/qcow2.rst of QEMU)."""
    size, cluster = 1 << 20, 16
    header = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb",
        version,
        112 if backing else 0,
        len(backing),
        cluster,
        size,
        0,
        1,
        3 << cluster,
        1 << cluster,
        1,
        0,
        0,
    )
    if version == 3:
        header += struct.pack(">QQQII", 0, 0, 0, 4, 104) + bytes(8) + backing
    body = header.ljust(1 << cluster, b"\0")
    body += struct.pack(">Q", 2 << cluster).ljust(1 << cluster, b"\0")
    body += struct.pack(">4H", 1, 1, 1, 1).ljust(1 << cluster, b"\0")
    return body + bytes(1 << cluster)


def vhd_footer(size: int) -> bytes:
    """The footer of a VHD of fixed size (Virtual Hard Disk Image Format Specification)."""
    start = struct.pack(
        ">8sIIQI4sI4sQQHBBI", b"conectix", 2, 0x10000, 2**64 - 1, 0, b"test", 1, b"Wi2k", size, size, 1, 1, 4, 2
    )
    rest = bytes(16) + bytes(1)
    total = ~sum(start + rest) & 0xFFFFFFFF
    return (start + struct.pack(">I", total) + rest).ljust(512, b"\0")


def iso() -> bytes:
    """An ISO 9660 file system with an empty root (ECMA-119)."""
    root = (
        struct.pack(
            "<BBI4sI4s7sBBBHHB",
            34,
            0,
            19,
            struct.pack(">I", 19),
            2048,
            struct.pack(">I", 2048),
            bytes(7),
            2,
            0,
            0,
            1,
            256,
            1,
        )
        + b"\0"
    )
    primary = bytearray(2048)
    primary[0:7] = b"\x01CD001\x01"
    primary[40:72] = b"DOUANE".ljust(32)
    primary[80:88] = struct.pack("<I", 20) + struct.pack(">I", 20)
    primary[128:132] = struct.pack("<H", 2048) + struct.pack(">H", 2048)
    primary[156:190] = root[:34]
    end = b"\xffCD001\x01".ljust(2048, b"\0")
    return bytes(16 * 2048) + bytes(primary) + end + bytes(2048) + (root * 2).ljust(2048, b"\0")
