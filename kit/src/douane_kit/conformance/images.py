"""Small images and plain bytes, with which the search begins."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping

from douane_plugin.testing import image_bytes

DISK_BYTES = (1 << 20) + (32 << 10)
"""The smallest disk that holds a partition at 1 MiB."""


def filler(size: int, seed: int) -> bytes:
    """Return bytes without a pattern."""
    return random.Random(seed).randbytes(size)


def long_filler(size: int, seed: int) -> bytes:
    """Return `size` bytes of which no two blocks of 512 are equal, faster than `filler`."""
    block = filler(1 << 16, seed)
    data = bytearray(block * (size // len(block) + 1))
    for offset in range(0, len(data), 512):
        data[offset : offset + 8] = offset.to_bytes(8, "big")
    del data[size:]
    return bytes(data)


def plain(seed: int) -> Iterator[bytes]:
    """Yield images without a structure, from no byte to 5 MiB."""
    yield b""
    for value in (0x00, 0x41, 0xFF):
        yield bytes([value])
    for size in (2, 3, 4, 5, 7, 8, 12, 15, 16, 31, 33, 63, 64, 127, 255, 511, 512, 513, 1024, 4096, 1 << 16, 1 << 20):
        yield bytes(size)
        yield filler(size, seed + size)
        yield b"\xff" * size
    yield b"The quick brown fox jumps over the lazy dog.\n" * 24
    yield bytes(range(256)) * 5
    yield b" \t\r\n" * 300
    yield "schöne Grüße €\n".encode() * 20
    yield b"\x80\xff\xfe\xed" * 100
    yield bytes((5 << 20) + 3)


def payload(seed: int) -> bytes:
    """Return the content of the containers."""
    return b"the payload of a container\n" * 40 + filler(150_001, seed)


def containers(seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield compressed files and archives of `payload`, with their names."""
    content = payload(seed)
    yield "gzip", gzip.compress(content, mtime=0)
    yield "zlib", zlib.compress(content)
    yield "bzip2", bz2.compress(content)
    yield "xz", lzma.compress(content)
    yield "lzma", lzma.compress(content, format=lzma.FORMAT_ALONE)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield "zip", zip_archive({"disk.img": content}, method)
    yield "tar", tar_archive({"disk.img": content})


def tar_archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of `files`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zip_archive(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive of `files`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def formats(seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield small images, archives and texts, each with the name of its format."""
    mbr, gpt = image_bytes("mbr", DISK_BYTES, data=b"data"), image_bytes("gpt", DISK_BYTES, data=b"data")
    yield "mbr", mbr
    yield "mbr", mbr[:446] + mbr[446:462] * 4 + mbr[510:]
    yield "gpt", gpt
    yield "gpt", gpt[:1024] + gpt[1024:1152] * 128 + gpt[1024 + 128 * 128 :]
    yield "qcow2", image_bytes("qcow2")
    yield "qcow2", image_bytes("qcow2", backing="/etc/passwd")
    yield "qcow2", struct.pack(">4sIQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 20).ljust(1 << 16, b"\0")
    yield "qcow", struct.pack(">4sI", b"QFI\xfb", 1) + bytes(60)
    yield "vmdk", b"KDMV" + struct.pack("<IIQQQQIQQQ", 1, 3, 2048, 128, 1, 20, 512, 0, 21, 128) + bytes(4096)
    yield "vmdk", b'# Disk DescriptorFile\nversion=1\nCID=fffffffe\ncreateType="monolithicFlat"\n' + bytes(900)
    yield "vhd", filler(2048, seed) + (b"conectix" + struct.pack(">IIQ", 2, 0x10000, 2**64 - 1)).ljust(512, b"\0")
    yield "vhdx", b"vhdxfile" + "Douane".encode("utf-16-le") + bytes(4096)
    yield "vdi", b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + struct.pack("<II", 0xBEDA107F, 0x10001)
    yield "luks", b"LUKS\xba\xbe" + struct.pack(">H", 1) + bytes(1024)
    yield "luks", b"LUKS\xba\xbe" + struct.pack(">HQ", 2, 16384) + bytes(4096)
    yield "iso", bytes(16 * 2048) + b"\x01CD001\x01".ljust(2048, b"\0") + b"\xffCD001\x01".ljust(2048, b"\0")
    yield "ext4", bytes(1024 + 56) + b"\x53\xef" + bytes(3000)
    yield "elf", b"\x7fELF\x02\x01\x01" + bytes(200)
    yield "script", b"#!/bin/sh\nexit 0\n"
    yield "xml", b'<?xml version="1.0"?><Envelope><References/></Envelope>'
    yield "json", b'{"name": "image", "size": 12, "list": [1, 2, 3]}'
    for text in (b"{}", b"[]", b"null", b'"text"', b"12", b"-1.5e999", b"<a></a>", b"<", b"{", b"a,b\n1,2\n", b"=\n="):
        yield "text", text
    yield "text", b"key = value\n[section]\nother: 12\n" * 4
    many = {f"file-{number}": b"x" * number for number in range(100)}
    yield "tar", tar_archive({"box.ovf": b"<Envelope/>", "disk.vmdk": b"KDMV" + bytes(600)})
    yield "tar", tar_archive(many)
    yield "zip", zip_archive(many)
    yield "gzip", gzip.compress(b"small", mtime=0)
    yield "gzip", gzip.compress(bytes(200_000), mtime=0)
    yield "zstd", bytes.fromhex("28b52ffd") + bytes(40)
    yield "pem", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    yield from containers(seed)
