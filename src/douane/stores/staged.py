"""A staged image: bytes that are being received and that nobody can see yet."""

import fcntl
import os
from types import TracebackType

from douane.errors import StoreError
from douane.stores.errors import explain, told
from douane.stores.paths import leads_to


class Staged:
    """One file under ``staging/``, held by an exclusive flock(2) for as long as it is open.

    The lock is the sign that its import lives: the kernel lets go of it when the last descriptor of this open
    file is closed, which at the latest is the process's death (flock(2)). A duplicate of :attr:`fd` given to
    another process keeps the lock alive; hand out :meth:`open_read` instead.

    ``key`` is the UUID it is staged under; ``fd`` a read-write descriptor (pwrite(2) on it; what is not
    written stays a hole), -1 once closed. Works as a context manager that discards what was not published.
    """

    def __init__(self, key: str, fd: int, path: str) -> None:
        self.key = key
        self.fd = fd
        self.path = path
        self.finished = False
        self._broken: str | None = None

    def open_read(self) -> int:
        """A new read-only descriptor of the same file, without the lock; the caller closes it.

        Raises StoreError when this is closed, or when the name no longer leads to this file.
        """
        self._must_be_open()
        with told("read the staged image back", self.path):
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        if not os.path.samestat(os.fstat(fd), os.fstat(self.fd)):
            os.close(fd)
            raise StoreError(
                f"cannot read the staged image back: {self.path} was replaced by another file", code="damaged"
            )
        return fd

    def explain(self, error: OSError, needed: int | None = None) -> StoreError:
        """The sentence for an OSError that a write on :attr:`fd` raised; `needed` in bytes, if known."""
        return explain(error, "write the image to the store", self.path, needed=needed)

    def size(self) -> int:
        """The length of the file in bytes, as it is now."""
        self._must_be_open()
        with told("read the size of the staged image", self.path):
            return os.fstat(self.fd).st_size

    def finish(self, size: int) -> None:
        """Give the file its final length in bytes and bring it to the disk (ftruncate(2), fsync(2)).

        Raises StoreError. After a failed fsync the kernel may have dropped the dirty pages and report success
        next time (fsync(2), "ERRORS" and "NOTES"), so a staged file that failed once can only be discarded.
        """
        self._must_be_open()
        if self._broken is not None:
            raise StoreError(f"{self._broken} (an earlier failure: discard it and import again)")
        try:
            os.ftruncate(self.fd, size)
            os.fsync(self.fd)
        except OSError as error:
            failure = explain(error, "bring the image to the disk", self.path, needed=size)
            self._broken = str(failure)
            raise failure from error
        self.finished = True

    def discard(self) -> None:
        """Delete the file and close it; does nothing the second time, or after it was published.

        Raises StoreError when the file could not be deleted; it is closed all the same.
        """
        if self.fd < 0:
            return
        try:
            # Deleted while still locked, so nobody else can find it unlocked and adopt it in between.
            with told("delete the staged image", self.path):
                if leads_to(self.path, self.fd):
                    os.unlink(self.path)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file without deleting it (publishing does, when the name is gone). Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _must_be_open(self) -> None:
        if self.fd < 0:
            raise StoreError(f"the staged image {self.key} was published or discarded already", code="not-found")

    def __enter__(self) -> "Staged":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the flock of `fd` if nobody holds it (`shared`: only look, side by side with others who look)."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
