"""A staged image in a file: bytes that are being received and that nobody can see yet."""

import fcntl
import os
from types import TracebackType

from douane.errors import StoreError

from .os_errors import explain, explained
from .paths import is_name_of


class StagingFile:
    """A file under ``staging/``, claimed by an exclusive flock(2) as long as it is open.

    The lock is the sign that its import lives: the kernel releases it when the last descriptor of this open file is
    closed, at the latest when the process dies (flock(2)). A duplicate of `fd` in another process keeps the lock; hand
    out :meth:`open_read` instead. `fd` is -1 once closed. A context manager that discards the file unless it was
    published.
    """

    def __init__(self, key: str, fd: int, path: str) -> None:
        self.key = key
        self.fd = fd
        self.path = path
        self.finished = False
        self._failure: str | None = None

    def write(self, view: memoryview, offset: int) -> None:
        """See `Staged`. Raises StoreError."""
        try:
            while view:
                written = os.pwrite(self.fd, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise self.explain(error) from error

    def open_read(self) -> int:
        """See `Staged`; the descriptor does not hold the lock. Raises StoreError if the file was closed or replaced."""
        self._require_open()
        with explained("read the staged image back", self.path):
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        if not os.path.samestat(os.fstat(fd), os.fstat(self.fd)):
            os.close(fd)
            raise StoreError(
                f"cannot read the staged image back: {self.path} was replaced by another file", code="damaged"
            )
        return fd

    def explain(self, error: OSError, needed: int | None = None) -> StoreError:
        """See `Staged`; `needed` is in bytes, if known."""
        return explain(error, "write the image to the store", self.path, needed=needed)

    def size(self) -> int:
        """The current length of the file in bytes."""
        self._require_open()
        with explained("read the size of the staged image", self.path):
            return os.fstat(self.fd).st_size

    def finish(self, size: int) -> None:
        """Set the final length in bytes and sync the file (ftruncate(2), fsync(2)).

        Raises StoreError. After a failed fsync the kernel may have dropped the dirty pages and report success
        next time (fsync(2), "ERRORS" and "NOTES"), so a staged file that failed once can only be discarded.
        """
        self.keep(size)
        self.finished = True

    def keep(self, size: int) -> None:
        """See `Staged`: as `finish`, and more bytes may follow."""
        self._require_open()
        if self._failure is not None:
            raise StoreError(f"{self._failure} (an earlier failure: discard it and import again)")
        self.finished = False
        try:
            os.ftruncate(self.fd, size)
            os.fsync(self.fd)
        except OSError as error:
            failure = explain(error, "bring the image to the disk", self.path, needed=size)
            self._failure = str(failure)
            raise failure from error

    def cut(self, size: int) -> None:
        """Forget what is behind the first `size` bytes. Raises StoreError, ``damaged`` if there are fewer."""
        actual = self.size()
        if actual < size:
            raise StoreError(f"the staged image {self.key} has {actual} bytes, and {size} were kept", code="damaged")
        with explained("cut the staged image", self.path):
            os.ftruncate(self.fd, size)

    def discard(self) -> None:
        """Delete the file and close it. Idempotent; does nothing after publishing.

        Raises StoreError if the file could not be deleted; it is closed all the same.
        """
        if self.fd < 0:
            return
        try:
            # Deleted while still locked, so that no other process can find it unlocked and adopt it in between.
            with explained("delete the staged image", self.path):
                if is_name_of(self.path, self.fd):
                    os.unlink(self.path)
        finally:
            self.close()

    def close(self) -> None:
        """Close the file without deleting it. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _require_open(self) -> None:
        if self.fd < 0:
            raise StoreError(f"the staged image {self.key} was published or discarded already", code="not-found")

    def __enter__(self) -> "StagingFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def link_staging(key: str, path: str, new_path: str) -> StagingFile:
    """The staged file at `path`, claimed, under a second name; the names are deleted one by one. Raises StoreError."""
    with explained("stage the image again", path):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if not try_lock(fd):
                raise StoreError(f"the staged image {path} belongs to an import that is running", code="in-use")
            os.link(path, new_path, follow_symlinks=False)
        except BaseException:
            os.close(fd)
            raise
    return StagingFile(key, fd, new_path)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the flock of `fd` if no process holds it. `shared` only tests, in parallel with other tests."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
