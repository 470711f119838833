"""The server's side of the network block protocol (doc/proto.md of the NBD project), over a pair of sockets.

This connects qemu-img, which works on files, to streams: with the right options it reads and writes in order, and then
an export needs no file. Only the requests of qemu's client are supported: the fixed newstyle negotiation, and simple
replies.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

MAX_BYTES = 2 << 20
"""Of one request, as announced to the client: what qemu-img convert asks for at once (IO_BUF_SIZE)."""

READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES = 0, 1, 2, 3, 4, 6

_OPTION_ABORT, _OPTION_GO = 2, 7
_ACK, _INFO, _UNSUPPORTED = 1, 3, 0x80000001
_INFO_EXPORT, _INFO_BLOCK_SIZE = 0, 3
_HAS_FLAGS, _READ_ONLY, _SEND_FLUSH, _SEND_WRITE_ZEROES = 1, 2, 4, 64
_OPTION_REPLY = 0x3E889045565A9
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_MAX_OPTION_BYTES = 4096

_OPTION = Struct(">QII")
_OPTION_ANSWER = Struct(">QIII")
_EXPORT = Struct(">HQH")
_BLOCK_SIZE = Struct(">HIII")
_REQUEST = Struct(">IHHQQI")
_REPLY = Struct(">IIQ")


class Broken(Exception):
    """The client has gone, or violates the protocol: its exit status and its errors give the reason."""


class Request:
    """`kind` (:data:`READ` and so on), `offset` and `length` in bytes."""

    __slots__ = ("cookie", "kind", "length", "offset")

    def __init__(self, kind: int, offset: int, length: int, cookie: int) -> None:
        self.kind, self.offset, self.length, self.cookie = kind, offset, length, cookie


class Export:
    """One client and its export of `size` bytes, to be read, or to be written if `writable`. Methods raise Broken."""

    def __init__(self, connection: socket.socket, size: int, *, writable: bool, wait: Callable[[], None]) -> None:
        """`wait` returns when the connection can be read; it may raise any error."""
        self._connection = connection
        self._size = size
        self._writable = writable
        self._wait = wait
        self._scrap = memoryview(bytearray(_REQUEST.size))

    def negotiate(self) -> None:
        """Negotiate the export. Call it once, first."""
        self._send(b"NBDMAGICIHAVEOPT" + (_FIXED_NEWSTYLE | _NO_ZEROES).to_bytes(2, "big"))
        self._receive(4)
        while True:
            magic, option, length = _OPTION.unpack(self._receive(_OPTION.size))
            if magic.to_bytes(8, "big") != b"IHAVEOPT" or length > _MAX_OPTION_BYTES:
                raise Broken
            self._receive(length)
            if option == _OPTION_GO:
                break
            self._answer(option, _ACK if option == _OPTION_ABORT else _UNSUPPORTED)
            if option == _OPTION_ABORT:
                raise Broken
        flags = _HAS_FLAGS | (_SEND_FLUSH | _SEND_WRITE_ZEROES if self._writable else _READ_ONLY)
        self._answer(option, _INFO, _EXPORT.pack(_INFO_EXPORT, self._size, flags))
        self._answer(option, _INFO, _BLOCK_SIZE.pack(_INFO_BLOCK_SIZE, 1, 1 << 16, MAX_BYTES))
        self._answer(option, _ACK)

    def next(self) -> Request:
        """Wait for the next request. The bytes of a write follow the request."""
        magic, _, kind, cookie, offset, length = _REQUEST.unpack(self._receive(_REQUEST.size))
        supported = kind in (READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES)
        if magic != _REQUEST_MAGIC or not supported or (kind in (READ, WRITE) and length > MAX_BYTES):
            raise Broken
        if kind not in (DISCONNECT, FLUSH) and offset + length > self._size:
            raise Broken
        return Request(kind, offset, length, cookie)

    def take(self, view: memoryview) -> None:
        """Fill `view` with the bytes of a write."""
        while view:
            count = self._receive_into(view)
            view = view[count:]

    def reply(self, request: Request, data: Iterable[memoryview] = ()) -> None:
        """Answer the request; `data` has the bytes of a read. Each piece is sent before the next is asked for."""
        self._send(_REPLY.pack(_REPLY_MAGIC, 0, request.cookie))
        for piece in data:
            self._send(piece)
            del piece

    def _answer(self, option: int, kind: int, data: bytes = b"") -> None:
        self._send(_OPTION_ANSWER.pack(_OPTION_REPLY, option, kind, len(data)) + data)

    def _send(self, data: bytes | memoryview) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise Broken from error

    def _receive(self, length: int) -> bytes:
        if length > len(self._scrap):
            self._scrap = memoryview(bytearray(length))
        self.take(self._scrap[:length])
        return bytes(self._scrap[:length])

    def _receive_into(self, view: memoryview) -> int:
        self._wait()
        try:
            count = self._connection.recv_into(view)
        except OSError as error:
            raise Broken from error
        if not count:
            raise Broken
        return count
