"""Bytes of a store that are a file."""

import os

from .os_errors import explained


class StoredFile:
    """See `StoredBytes`: the open file `fd`, called `path` in errors, which is closed with it."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path
        self.size = os.fstat(fd).st_size

    def read_into(self, view: memoryview, offset: int) -> int:
        """See `StoredBytes`."""
        filled = 0
        with explained("read the image", self.path):
            while filled < len(view):
                count = os.preadv(self.fd, [view[filled:]], offset + filled)
                if not count:
                    break
                filled += count
        return filled

    def close(self) -> None:
        """See `StoredBytes`."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
