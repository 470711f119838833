"""The staged file of an image, and the file beside it that a transformed image is written into."""

from __future__ import annotations

import contextlib
import os
import stat

from douane.engine import SinkError, SourceError
from douane.stream.sink import FileSink

from .tag import Tag

_PREFIX = "file://"
_AT_ONCE_BYTES = 1 << 20


class StagedFile:
    """A regular file in Glance's staging folder, open until `close`. `uri` is what Glance calls it.

    Raises SourceError if it is not there, or is something else than the data of `image`.
    """

    def __init__(self, uri: str, image: str) -> None:
        if not uri.startswith(_PREFIX + "/"):
            raise SourceError(f"the staged image is {uri!r:.200}, and not a file on this host")
        self.path = uri.removeprefix(_PREFIX)
        name = os.path.basename(self.path)
        if name != image and not name.startswith(f"{image}."):  # Glance's own plugins append a format
            raise SourceError(f"{self.path} is not named as the staged data of image {image}")
        self.is_of_glance = name == image
        """True if it is the file that Glance itself has staged, or in its place; else of another plugin of Glance's."""
        try:
            # O_NONBLOCK: opening a pipe would wait for its writer.
            self.fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(f"{self.path}, staged, cannot be opened: {error.strerror}") from error
        self._file = os.fstat(self.fd)
        if not stat.S_ISREG(self._file.st_mode):
            self.close()
            raise SourceError(f"{self.path}, staged, is no regular file")

    @property
    def size(self) -> int:
        """In bytes, when it was opened or replaced."""
        return self._file.st_size

    def is_there(self) -> bool:
        """True while its name leads to this file, also when it is closed. Raises OSError."""
        try:
            return os.path.samestat(os.lstat(self.path), self._file)
        except FileNotFoundError:
            return False

    def has_tag(self, key: bytes, tag: bytes) -> bool:
        """Read it once, and compare. Raises SourceError."""
        found = Tag(key)
        try:
            with memoryview(bytearray(_AT_ONCE_BYTES)) as buffer:
                while got := os.preadv(self.fd, [buffer], found.size):
                    found.update(buffer[:got])
        except OSError as error:
            raise SourceError(f"{self.path}, staged, cannot be read: {error.strerror}") from error
        return found.is_of(tag)

    def beside(self) -> ResultFile:
        """A new, empty file in the same folder. Raises SinkError."""
        return ResultFile(f"{self.path}.douane")

    def become(self, result: ResultFile) -> None:
        """Let `result`, complete and on the disk, take its place, in one step (rename(2)). Raises SinkError."""
        try:
            os.fchmod(result.fd, stat.S_IMODE(self._file.st_mode))
            after = os.fstat(result.fd)
            os.rename(result.path, self.path)
            self._file = after
            _sync(os.path.dirname(self.path))
        except OSError as error:
            raise SinkError(f"{self.path} cannot be replaced: {error.strerror}") from error

    def discard(self) -> None:
        """Delete it, unless its name is another file's by now: the next attempt's. Raises OSError."""
        if self.is_there():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def close(self) -> None:
        """Let go of it: what is deleted while it is open still takes room. Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ResultFile(FileSink):
    """Where the engine writes what comes out (:class:`douane.engine.Sink`).

    It is named by the image's id, a dot, and more: what of this kind is left over, Glance deletes with the image.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # of a process that was killed
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SinkError(f"{path} cannot be made: {error.strerror}") from error
        super().__init__(fd, path)
        self._file = os.fstat(self.fd)

    def explain(self, error: OSError) -> SinkError:
        """See :class:`douane.engine.Sink`."""
        return SinkError(
            f"the transformed image cannot be written into the staging folder, as {self.path}: {error.strerror}; "
            "there must be room for the image as it came and as it becomes",
        )

    def discard(self) -> None:
        """Delete it if it still has its own name, and close it. Idempotent."""
        if self.fd < 0:
            return
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(self.path), self._file):
                os.unlink(self.path)
        os.close(self.fd)
        self.fd = -1


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
