"""The staged file of an image, and the file beside it for the transformed image."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

from douane.durable import sync_directory
from douane.errors import SinkError, SourceError
from douane.stream.sink import FileSink

from .tag import Tag

_PREFIX = "file://"
_BUFFER_BYTES = 1 << 20


class StagedFile:
    """A regular file in Glance's staging folder, open until `close`. `uri` is Glance's name for it.

    Raises SourceError if it is missing, or is something else than the data of `image`.
    """

    def __init__(self, uri: str, image: str) -> None:
        if not uri.startswith(_PREFIX + "/"):
            raise SourceError(f"the staged image is {uri!r:.200}, and not a file on this host")
        self.path = uri.removeprefix(_PREFIX)
        name = os.path.basename(self.path)
        if name != image and not name.startswith(f"{image}."):  # Glance's own plugins append a format
            raise SourceError(f"{self.path} is not named as the staged data of image {image}")
        self.is_of_glance = name == image
        """True for the file that Glance itself has staged; False for the output of another plugin of Glance's."""
        try:
            # O_NONBLOCK: opening a pipe would wait for its writer.
            self.fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(f"the staged file {self.path} cannot be opened: {error.strerror}") from error
        self._status = os.fstat(self.fd)
        if not stat.S_ISREG(self._status.st_mode):
            self.close()
            raise SourceError(f"the staged file {self.path} is no regular file")

    @property
    def size(self) -> int:
        """In bytes, when it was opened or replaced."""
        return self._status.st_size

    def is_in_place(self) -> bool:
        """True while its path leads to this file, even after `close`. Raises OSError."""
        try:
            return os.path.samestat(os.lstat(self.path), self._status)
        except FileNotFoundError:
            return False

    def has_tag(self, key: bytes, expected: bytes) -> bool:
        """Read the file, and compare its tag. Raises SourceError."""
        tag = Tag(key)
        try:
            with memoryview(bytearray(_BUFFER_BYTES)) as buffer:
                while count := os.preadv(self.fd, [buffer], tag.size):
                    tag.update(buffer[:count])
        except OSError as error:
            raise SourceError(f"the staged file {self.path} cannot be read: {error.strerror}") from error
        return tag.matches(expected)

    def digest(self, algorithm: str) -> str:
        """Read the file, or its replacement, and return its digest (hex). Raises SourceError."""
        try:
            with open(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                if os.path.samestat(os.fstat(file.fileno()), self._status):
                    return hashlib.file_digest(file, algorithm).hexdigest()
        except (OSError, ValueError) as error:
            raise SourceError(f"no {algorithm} of the staged file {self.path} can be taken: {error}") from error
        raise SourceError(f"{self.path} is another file than the one that was inspected")

    def new_result(self) -> ResultFile:
        """A new, empty file in the same folder. Raises SinkError."""
        return ResultFile(f"{self.path}.douane")

    def replace_with(self, result: ResultFile) -> None:
        """Put the durable `result` in the place of this file, in one step (rename(2)). Raises SinkError."""
        try:
            os.fchmod(result.fd, stat.S_IMODE(self._status.st_mode))
            status = os.fstat(result.fd)
            os.rename(result.path, self.path)
            self._status = status
            sync_directory(os.path.dirname(self.path))
        except OSError as error:
            raise SinkError(f"{self.path} cannot be replaced: {error.strerror}") from error

    def discard(self) -> None:
        """Delete it, unless its path leads to another file by now: that of the next attempt. Raises OSError."""
        if self.is_in_place():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def close(self) -> None:
        """Close it: a deleted file takes room while it is open. Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ResultFile(FileSink):
    """The file for a transformed image (:class:`douane.engine.Sink`).

    Its name begins with the image's id and a dot: Glance deletes such leftovers with the image.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # of a process that was killed
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SinkError(f"{path} cannot be created: {error.strerror}") from error
        super().__init__(fd, path)
        self._status = os.fstat(fd)

    def explain(self, error: OSError) -> SinkError:
        """See :class:`douane.engine.Sink`."""
        return SinkError(
            f"the transformed image cannot be written into the staging folder, as {self.path}: {error.strerror}; "
            "there must be room for the image before and after the transform",
        )

    def discard(self) -> None:
        """Delete it unless it was renamed, and close it. Idempotent."""
        if self.fd < 0:
            return
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(self.path), self._status):
                os.unlink(self.path)
        os.close(self.fd)
        self.fd = -1
