"""Compressed images for the tests of `decompress`, made by the libraries and programs that make real ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import lz4.frame

from douane.plugins.decompress import Decompress
from douane_plugin import Image, Reject

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def lz4_full(data: bytes) -> bytes:
    """With all checksums and the length that a frame can have, and blocks that depend on each other."""
    return lz4.frame.compress(
        data, block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=True, block_checksum=True, content_checksum=True
    )


def zstd_checked(data: bytes) -> bytes:
    """With a checksum, which the module leaves out by default."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


def zipped(data: bytes, method: int = zipfile.ZIP_DEFLATED, *, streamed: bool = False, zip64: bool = False) -> bytes:
    """A zip with the file ``disk.img``; `streamed`: written to a pipe, so that lengths follow the data."""
    file = io.BytesIO()
    target: Any = Pipe(file) if streamed else file
    with zipfile.ZipFile(target, "w", method) as archive:
        info = zipfile.ZipInfo("disk.img")
        info.compress_type = method
        with archive.open(info, "w", force_zip64=zip64) as member:
            member.write(data)
    return file.getvalue()


class Pipe:
    """A file that cannot be sought in."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        pass


SKIPPABLE = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 5) + b"hello"

STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_SHA256, preset=0),
    "zstd": zstd_checked,
    "bzip2": bz2.compress,
    "lz4": lz4_full,
}
"""What may be concatenated, and has checksums."""

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    **STREAMS,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
    "zip": zipped,
}


def by_program(data: bytes, *command: str) -> bytes:
    """What a program makes of `data` in a pipe."""
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True, timeout=60).stdout


class StrictSource:
    """Gives views of memory that is taken back, as the engine does: of the chunk before the last nothing may live."""

    goes_on = False

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._lent: list[bytearray] = []
        self.ended = False
        self.given = 0

    def take(self) -> memoryview | None:
        if len(self._lent) > 1 or self.ended:
            for memory in self._lent[: None if self.ended else -1]:
                memory.clear()  # BufferError if somebody still looks at it
            del self._lent[: None if self.ended else -1]
        for chunk in self._chunks:
            if chunk:
                self._lent.append(bytearray(chunk))
                self.given += len(chunk)
                return memoryview(self._lent[-1])
        self.ended = True
        return None


class Told:
    """What a transform tells of its image."""

    def __init__(self) -> None:
        self.formats: list[tuple[str | None, str | None]] = []
        self.properties: dict[str, Any] = {}
        self.is_unchanged = False

    def becomes(self, disk_format: str | None, container_format: str | None, properties: dict[str, Any] | None) -> None:
        self.formats.append((disk_format, container_format))
        self.properties.update(properties or {})

    def unchanged(self, offset: int) -> None:
        assert offset < 4 << 20
        self.is_unchanged = True


class Unpacked:
    """What became of an image: `data`, or `code` and `message` of a refusal; `warnings` are codes."""

    def __init__(self, chunks: bytes | Iterable[bytes], facts: dict[str, Any] | None = None, **config: Any) -> None:
        self.source = StrictSource([chunks] if isinstance(chunks, bytes) else chunks)
        self.told = Told()
        self.code: str | None = None
        self.message = ""
        self.warnings: list[str] = []
        self.longest = 0
        plugin = Decompress(**config)
        plugin.warn = lambda code, message: self.warnings.append(code)  # type: ignore[method-assign]  # the runtime's place
        parts = []
        try:
            for part in plugin.transform(Image(facts or {}, self.source, transforms=self.told)):
                self.longest = max(self.longest, len(part))
                parts.append(bytes(part))
        except Reject as refusal:
            self.code, self.message = refusal.code, refusal.message
        self.data = b"".join(parts)


def refused(chunks: bytes | Iterable[bytes], **config: Any) -> str | None:
    """The code with which `decompress` refuses, or None."""
    unpacked = Unpacked(chunks, **config)
    assert (unpacked.code is None) == (unpacked.message == "")
    return unpacked.code


def raw_deflate(data: bytes) -> bytes:
    """Deflate without a container."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()
