"""The URLs of files in a file store, and of files that another service wrote there: no path leads out of the store."""

import os
import stat
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from douane.errors import StoreError

from .os_errors import explained
from .paths import checked_id
from .store_id import NAME as STORE_ID
from .stored_file import StoredFile

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: never wait for a FIFO. O_NOFOLLOW: a link is refused, and not followed to what only this process may read.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class FileLocations:
    """The locations of a :class:`~douane.stores.file.FileStore`."""

    root: Path

    def location(self, image_id: str) -> str:
        """The file's URL, which a service with the same file system can open."""
        return f"file://{quote(os.path.join(os.path.abspath(self.root), 'images', checked_id(image_id)))}"

    def open_location(self, url: str, *, images: bool) -> StoredFile | None:
        """See `Store`: a file below `root`, with one name, to which no link leads."""
        names = path_below(os.fspath(self.root), url)
        if names is None:
            return None
        if names == [STORE_ID]:
            raise StoreError(f"cannot read the location: {STORE_ID} is the store's own file", code="store-unreadable")
        if names[0] == "staging" or (names[0] == "images" and not images):
            raise StoreError(
                f"cannot read the location: {names[0]}/ in the store {self.root} has bytes of other images",
                code="in-use",
            )
        root = os.path.abspath(self.root)
        return StoredFile(open_below(root, names), os.path.join(root, *names))


def path_below(root: str, url: str) -> list[str] | None:
    """The names that lead from the folder `root` to the file at `url`; None if the URL leads to another place.

    Nothing is looked up: a path with ``..`` or an empty name leads to another place, too.
    """
    try:
        parts = urlsplit(url)
        path = os.fsdecode(unquote_to_bytes(parts.path))
    except ValueError:
        return None
    if parts.scheme.lower() != "file" or parts.netloc.lower() not in ("", "localhost") or "?" in url or "#" in url:
        return None
    prefix = os.path.abspath(root) + "/"
    if "\0" in path or not path.startswith(prefix):
        return None
    names = path[len(prefix) :].split("/")
    return None if any(name in ("", ".", "..") for name in names) else names


def open_below(root: str, names: list[str]) -> int:
    """A read-only descriptor of the file; no name on the way may be a link. Raises StoreError."""
    path = os.path.join(root, *names)
    with explained("read the location", path):
        folder = os.open(root, _FOLDER)
    try:
        for name in names[:-1]:
            with explained("read the location", path):
                inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        with explained("read the location", path):
            fd = os.open(names[-1], _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        os.close(fd)
        # A second name may be that of another image.
        raise StoreError(f"cannot read the location: {path} is not a file with one name", code="store-unreadable")
    return fd
