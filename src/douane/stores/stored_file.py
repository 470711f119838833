"""Bytes of a store that are a file."""

import os
import stat

from douane.errors import StoreError

from .os_errors import explain, explained

READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""How files of a store are opened: nothing that another program put there leads elsewhere, or holds up the process."""


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


def open_image(path: str) -> StoredFile:
    """The file of an image. Raises FileNotFoundError, and StoreError if it cannot be read or is no file."""
    try:
        fd = os.open(path, READ)
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise StoreError(
            f"cannot read the image: {path} does not let user {os.geteuid()} in; run as the user who owns the store",
            code="store-unreadable",
        ) from error
    except OSError as error:
        raise explain(error, "read the image", path) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StoreError(f"cannot read the image: {path} is not a file; something else wrote there", code="damaged")
    return StoredFile(fd, path)
