"""Zip archives by Python's zipfile."""

from __future__ import annotations

import io
import zipfile
from typing import Any

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
Member = tuple[str | zipfile.ZipInfo, bytes]


class _Pipe(io.RawIOBase):
    """An output that cannot seek, so that zipfile writes the sizes after the data."""

    def __init__(self, buffer: io.BytesIO) -> None:
        self._buffer = buffer

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._buffer.write(data)


def zipped(
    *members: Member, method: int = DEFLATED, comment: bytes = b"", streamed: bool = False, zip64: bool = False
) -> bytes:
    """An archive of these members; `streamed` as ``zip - -`` writes one, `zip64` with 64-bit sizes.

    A name is written as it is, also if zipfile would change it.
    """
    buffer = io.BytesIO()
    target: Any = _Pipe(buffer) if streamed else buffer
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members:
            info = name
            if isinstance(info, str):
                info = zipfile.ZipInfo("x")
                info.filename, info.compress_type = str(name), method
            with archive.open(info, "w", force_zip64=zip64) as file:
                file.write(data)
        archive.comment = comment
    return buffer.getvalue()
