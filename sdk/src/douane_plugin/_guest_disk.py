"""The disk that the guest sees, as bytes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from ._guest_faults import Faults


class GuestDisk:
    """The disk that the guest sees. `size` is its length in bytes, `format` that of the image (``"qcow2"``)."""

    __slots__ = ("_disk", "_faults", "format", "size")

    def __init__(self, disk: Any, faults: Faults) -> None:
        self._disk = disk
        self._faults = faults
        self.format: str = disk.format
        self.size: int = disk.size

    def pread(self, offset: int, n: int) -> bytes:
        """Return the `n` bytes at `offset`; fewer only at the end of the disk. Raises ValueError for negative ones."""
        if offset < 0 or n < 0:
            raise ValueError(f"pread(offset, n) takes numbers of 0 or more, not {offset!r:.60} and {n!r:.60}")
        n = min(n, self.size - offset)
        if n <= 0:
            return b""
        try:
            data: bytes = self._disk.pread(offset, n)
            return data
        except self._faults.errors as error:
            raise self._faults.incomplete(f"the disk, at byte {offset}", error) from error

    def extents(self) -> Iterator[tuple[int, int, bool]]:
        """Iterate over the disk as ``(offset, length, is_data)``, without gaps. Without `is_data`, it is zeros."""
        end = 0
        try:
            for extent in self._disk.extents():
                if extent.start > end:
                    yield end, extent.start - end, False
                yield extent.start, extent.size, True
                end = extent.start + extent.size
        except self._faults.errors as error:
            raise self._faults.incomplete(f"the disk, at byte {end}", error) from error
        if end < self.size:
            yield end, self.size - end, False
