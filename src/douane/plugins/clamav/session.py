"""A session with clamd (clamd(8)): several files under way at once, whose answers come in any order."""

from __future__ import annotations

import contextlib
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from typing import Any

MAX_ANSWER = 1 << 16
WAIT_SECONDS = 1.0
"""Seconds between two signs of life while clamd works."""

AT_ONCE = 16
"""Files that clamd has and has not answered: it scans them in threads of its own (MaxThreads, by default 10), and most
are small."""

SENT_BYTES = 128 << 10
"""Bytes that are sent together: a command and a small file as one message, instead of four."""


IDLE_SECONDS = 10.0
"""clamd hangs up on a client that sends nothing for 30 seconds (CommandReadTimeout, IdleTimeout): on a plugin whose
image arrives slowly, or that waits for another reader of the same files. After this time, a new session is begun."""

OPENING = b"zIDSESSION\0zVERSION\0"
FIRST_STREAM = 2
"""clamd counts commands from 1, and VERSION is one."""


class Lost(Exception):
    """clamd has closed the connection, or said something that is no answer."""


class TooSlow(Exception):
    """clamd has not answered in time."""


class Session:
    """Sends streams, and hands each answer to `answered`, with the number of the stream from 0 on."""

    def __init__(
        self, granted: Any, answered: Callable[[int, str], None], alive: Callable[[], None], seconds: float
    ) -> None:
        """`granted` is the socket of the grant, which makes further connections. `alive` is called while clamd works.
        `seconds` is how long it may take without any answer."""
        self._granted = granted
        self._connection: socket.socket = granted
        self._answered = answered
        self._alive = alive
        self._seconds = seconds
        self._buffer = b""
        self._last_sent = 0.0
        self._sent = 0
        self._first = 0
        """clamd's number of the first stream, as if all had been sent in this session."""

        self._timeout = -1.0  # of the connection
        self._waiting: set[int] = set()
        """The numbers of streams without an answer."""

    def version(self) -> str:
        """The versions of clamd and of its database. Begins the session: call it first."""
        try:
            return self._begin()
        except Lost:
            return self._begin_again()  # it has hung up while the image arrived

    def _begin(self) -> str:
        self._send(OPENING)
        self._first = FIRST_STREAM - self._sent
        return self._answer()[1]

    def _begin_again(self) -> str:
        """Begin a session on a connection of its own. What was under way has been answered."""
        try:
            connection: socket.socket = self._granted.connect()
        except OSError as error:
            raise Lost(str(error)) from None
        if self._connection is not self._granted:
            self._connection.close()
        self._connection, self._buffer, self._timeout = connection, b"", -1.0
        return self._begin()

    def _refresh(self) -> None:
        """Begin a new session if this one may have ended, since nothing was sent for long."""
        if time.monotonic() - self._last_sent >= IDLE_SECONDS:
            while self._waiting:
                self._take()
            self._begin_again()

    @property
    def next_number(self) -> int:
        """The number that the next stream gets."""
        return self._sent

    def scan(self, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send a stream. Waits for answers while too many are under way. What `chunks` raises ends the stream, and is
        raised then: clamd scans what came before."""
        while len(self._waiting) >= AT_ONCE:
            self._take()
        self._refresh()
        message = bytearray(b"zINSTREAM\0")
        failure: Exception | None = None
        try:
            for chunk in chunks:
                if len(chunk):
                    self._send_chunk(chunk, message)
        except (Lost, TooSlow):
            raise
        except Exception as error:
            failure = error
        self._send(message + bytes(4))
        self._waiting.add(self._first + self._sent)
        self._sent += 1
        if failure is not None:
            raise failure

    def _send_chunk(self, chunk: bytes | bytearray | memoryview, message: bytearray) -> None:
        """Add a chunk to a message, or send it behind that, which is empty then."""
        message += len(chunk).to_bytes(4, "big")
        if len(message) + len(chunk) <= SENT_BYTES:
            message += chunk
            return
        self._send(message)
        self._send(chunk)
        message.clear()

    def finish(self) -> None:
        """Wait for all answers, and end the session."""
        while self._waiting:
            self._take()
        with contextlib.suppress(Lost, TooSlow):  # all answers have come
            self._send(b"zEND\0")

    def _take(self) -> None:
        number, words = self._answer()
        if number not in self._waiting:
            raise Lost(f"an answer to no question: {number}: {words:.200}")
        self._waiting.remove(number)
        self._answered(number - self._first, words)

    def _answer(self) -> tuple[int, str]:
        while b"\0" not in self._buffer:
            self._receive()
            if len(self._buffer) > MAX_ANSWER:
                raise Lost("an answer without an end")
        line, _, self._buffer = self._buffer.partition(b"\0")
        number, separator, words = line.decode("utf-8", "replace").partition(": ")
        if not separator or not number.isdecimal():
            raise Lost(line.decode("utf-8", "replace")[:300])
        return int(number), words.removeprefix("stream: ")

    def _receive(self) -> None:
        self._set_timeout(WAIT_SECONDS)
        waited = 0.0
        while True:
            try:
                part = self._connection.recv(MAX_ANSWER)
                break
            except TimeoutError:
                waited += WAIT_SECONDS
                if waited >= self._seconds:
                    raise TooSlow from None
                self._alive()
            except OSError as error:
                raise Lost(str(error)) from None
        if not part:
            raise Lost("the connection was closed")
        self._buffer += part

    def _set_timeout(self, seconds: float) -> None:
        if seconds != self._timeout:  # each call is one of the system
            self._timeout = seconds
            self._connection.settimeout(seconds)

    def _send(self, data: bytes | bytearray | memoryview) -> None:
        """A clamd that is busy reads nothing for a while, which is no reason to count as stalled."""
        self._set_timeout(WAIT_SECONDS)
        missing, waited = memoryview(data), 0.0
        while missing:
            try:
                missing = missing[self._connection.send(missing) :]
                waited = 0.0
            except TimeoutError:
                waited += WAIT_SECONDS
                if waited >= self._seconds:
                    raise TooSlow from None
                self._alive()
            except OSError as error:
                raise Lost(self._last_words() or str(error)) from None
        self._last_sent = time.monotonic()

    def _last_words(self) -> str:
        """What clamd said before it closed the connection, for example that a limit is reached."""
        with contextlib.suppress(Lost, TooSlow):
            self._receive()
        return self._buffer.rstrip(b"\0\n").decode("utf-8", "replace")[:300]
