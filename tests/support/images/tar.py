"""Tar archives: by Python's tarfile, and block by block where no program would write them."""

from __future__ import annotations

import io
import tarfile

from . import padded

Member = tuple[str, bytes] | tarfile.TarInfo
END = bytes(1024)


def tar(*members: Member, format: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def special(name: str, type: bytes, link: str = "") -> tarfile.TarInfo:
    """A member that is not a file: a link, a directory, a device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, link
    return info


def tar_header(
    name: bytes, size: int | bytes = 0, flag: bytes = b"0", *, magic: bytes | None = None, prefix: bytes = b""
) -> bytes:
    """A header with its checksum; `prefix` is the rest of the block from offset 345 on.

    `size` as bytes is written as it is. Without `magic` the header is GNU tar's for the flags that only GNU tar writes.
    """
    if isinstance(size, int):
        size = b"%011o\0" % size if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big")
    if magic is None:
        magic = b"ustar  \0" if flag in (b"S", b"L") else b"ustar\x0000"
    fields = name.ljust(100, b"\0") + b"0000644\0" * 3 + size.ljust(12, b"\0") + b"0" * 11 + b"\0"
    header = fields + b" " * 8 + flag + bytes(100) + magic.ljust(88, b"\0") + prefix
    return with_checksum(header.ljust(512, b"\0"))


def with_checksum(header: bytes) -> bytes:
    """`header` with the checksum that fits."""
    blank = header[:148] + b" " * 8 + header[156:512]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def tar_member(name: bytes, data: bytes, flag: bytes = b"0") -> bytes:
    """A header and its data, up to a whole block."""
    return tar_header(name, len(data), flag) + padded(data)


def pax(*records: tuple[str, str], flag: bytes = b"x") -> bytes:
    """An extension header with these records."""
    data = b""
    for key, value in records:
        line = f" {key}={value}\n".encode()
        length = len(line)
        while len(str(length)) + len(line) != length:
            length = len(str(length)) + len(line)
        data += str(length).encode() + line
    return tar_member(b"pax", data, flag)
