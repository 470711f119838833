"""The directory of a file store, which may be away: its disk is not mounted."""

import os
from collections.abc import Iterator
from pathlib import Path

from douane.errors import StoreError

from .os_errors import explained, free_bytes
from .paths import is_id, make_directory


class StoreDirectory:
    """A part of :class:`~douane.stores.file.FileStore`."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._staging = os.path.join(os.path.abspath(root), "staging")
        self._images = os.path.join(os.path.abspath(root), "images")
        self._is_expected = os.path.isdir(self._images)

    def expect_images(self) -> None:
        """See `Store`. A directory that was made or seen is expected, too. If it is not there then, its disk is not
        mounted, and images that were written below the mount point would vanish when it is."""
        self._is_expected = True

    def free(self) -> int | None:
        """Bytes that can still be written to the store's file system; None if that is not known."""
        path = os.path.abspath(self.root)
        while not os.path.exists(path) and path != os.path.dirname(path):
            path = os.path.dirname(path)
        return free_bytes(path)

    def _make_directories(self) -> None:
        self._require_present()
        for path in (self._staging, self._images):
            if not os.path.isdir(path):
                with explained("make the store's directory", path):
                    make_directory(path)
        self._is_expected = True

    def _require_present(self) -> None:
        """Raise StoreError (``store-away``) if the store had a directory, and has none now."""
        if self._is_expected and not os.path.isdir(self._images):
            raise StoreError(
                f"the store's directory {self._images} is gone: is its disk mounted? Nothing is stored without it",
                code="store-away",
            )

    def _ids(self, directory: str) -> Iterator[str]:
        with explained("list the store", directory):
            try:
                names = os.listdir(directory)
            except FileNotFoundError:
                self._require_present()
                return
        yield from (name for name in names if is_id(name))
