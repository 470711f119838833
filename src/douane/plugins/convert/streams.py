"""qemu-img between streams: it reads a disk as the disk arrives, and its result leaves as it is made."""

from __future__ import annotations

import itertools
import socket

from .disk_size import padded
from .files import zeros
from .nbd import DISCONNECT, MAX_BYTES, READ, WRITE, Broken, Export
from .program import QemuImg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_BUFFER_BYTES = 1 << 20
"""Requested for both sockets; the system may grant less (socket(7), wmem_max)."""


def _pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    return ends


def options(driver: str, fd: int) -> str:
    """The value of --image-opts for the export at the other end of the socket `fd`, in the format `driver`."""
    return f"driver={driver},file.driver=nbd,file.server.type=fd,file.server.str={fd}"


def to_stream(
    words: Sequence[str], source: str, fds: Sequence[int], size: int, alive: Callable[[], None]
) -> Iterator[bytes | memoryview]:
    """Run ``qemu-img convert`` with `words`, and yield the raw disk of `size` bytes that it makes, in order.

    `words` end with --image-opts, and `source` is its value.
    Bytes that it does not write are zero: with --target-is-zero it writes nothing where the disk has holes. Raises as
    :class:`QemuImg` does, and RuntimeError if it does not write in order, which it does without -W.
    """
    ours, theirs = _pair()
    # -S: write shorter runs of zeros like data; the store looks for blocks of the same size.
    full = [*words, "-n", "--target-is-zero", "-S", "64k", "-t", "unsafe"]
    full += ["--target-image-opts", source, options("raw", theirs.fileno())]
    at = 0
    with ours, QemuImg(full, [*fds, theirs.fileno()], alive) as program:
        theirs.close()
        export = Export(ours, size, writable=True, wait=lambda: program.wait_for(ours.fileno()))
        buffer = memoryview(bytearray(MAX_BYTES))
        try:
            export.negotiate()
            while (request := export.next()).kind != DISCONNECT:
                if request.kind == WRITE:
                    if request.offset < at:
                        raise RuntimeError("qemu-img does not write in order; this version of it cannot be used here")
                    part = buffer[: request.length]
                    export.take(part)
                    export.reply(request)
                    yield from zeros(request.offset - at)
                    yield part
                    at = request.offset + request.length
                else:  # flush; or zeros, where nothing else was written, as everything comes in order
                    if request.offset < at and request.length:
                        raise RuntimeError("qemu-img does not write in order; this version of it cannot be used here")
                    export.reply(request)
            complete = True
        except Broken:
            complete = False  # its exit status decides
        ours.close()  # so that the program does not wait
        program.succeed()
    _check_complete(complete)
    yield from zeros(size - at)


def from_stream(
    words: Callable[[str], Sequence[str]],
    fds: Sequence[int],
    pieces: Iterator[bytes | memoryview],
    size: int,
    alive: Callable[[], None],
    *,
    watched: int,
) -> None:
    """Run ``qemu-img convert`` on the raw disk of `size` bytes that `pieces` has, in order.

    `words` returns the arguments for the options of its input. Raises as :class:`QemuImg` does.
    """
    ours, theirs = _pair()
    full = words(options("raw", theirs.fileno()))
    with ours, QemuImg(full, [*fds, theirs.fileno()], alive, watched=watched) as program:
        theirs.close()
        padded_size = padded(size)
        export = Export(ours, padded_size, writable=False, wait=lambda: program.wait_for(ours.fileno()))
        disk = _Disk(itertools.chain(pieces, zeros(padded_size - size)))
        try:
            export.negotiate()
            while (request := export.next()).kind != DISCONNECT:
                if request.kind == READ:
                    disk.skip_to(request.offset)
                    export.reply(request, disk.take(request.length))
                else:
                    export.reply(request)
            complete = True
        except Broken:
            complete = False  # as above
        ours.close()
        program.succeed()
    _check_complete(complete)
    for _ in pieces:
        pass  # qemu-img did not need the rest, but the whole image must be examined


def _check_complete(complete: bool) -> None:
    """Raise RuntimeError unless qemu-img disconnected: bytes that it did not write would count as zeros."""
    if not complete:
        raise RuntimeError("qemu-img succeeded, but left in the middle of the disk; this version cannot be used here")


class _Disk:
    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")
        self._at = 0

    def skip_to(self, offset: int) -> None:
        if offset < self._at:
            raise RuntimeError("qemu-img does not read in order; this version of it cannot be used here")
        for _ in self.take(offset - self._at):
            pass

    def take(self, length: int) -> Iterator[memoryview]:
        """The next `length` bytes. Read the iterator to its end."""
        while length:
            if not self._piece:
                self._piece = memoryview(b"")  # release it before the next is asked for
                piece = next(self._pieces, None)
                if piece is None:
                    raise RuntimeError("the image is shorter than was announced")
                self._piece = memoryview(piece)
                del piece
            part = self._piece[:length]
            self._piece = self._piece[len(part) :]
            self._at += len(part)
            length -= len(part)
            yield part
            del part
