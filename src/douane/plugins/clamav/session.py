"""A session with clamd (clamd(8)): several files under way at once, whose answers come in any order."""

from __future__ import annotations

import contextlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

MAX_ANSWER = 1 << 16
WAIT_SECONDS = 1.0
"""Seconds between two signs of life while clamd works."""

AT_ONCE = 4
"""Files that clamd has and has not answered: it scans them in threads of its own (MaxThreads, by default 10)."""


class Lost(Exception):
    """clamd has closed the connection, or said something that is no answer."""


class TooSlow(Exception):
    """clamd has not answered in time."""


class Session:
    """Sends streams, and hands each answer to `answered`, with the number of the stream from 0 on."""

    def __init__(
        self, connection: socket.socket, answered: Callable[[int, str], None], alive: Callable[[], None], seconds: float
    ) -> None:
        """`alive` is called while clamd works. `seconds` is how long it may take without any answer."""
        self._connection = connection
        self._answered = answered
        self._alive = alive
        self._seconds = seconds
        self._buffer = b""
        self._sent = 0
        self._first = 0
        self._waiting: set[int] = set()
        """The numbers of streams without an answer."""

    def version(self) -> str:
        """The versions of clamd and of its database. Begins the session: call it first."""
        self._send(b"zIDSESSION\0zVERSION\0")
        self._first = 2  # clamd counts commands from 1, and VERSION is one
        return self._answer()[1]

    @property
    def next_number(self) -> int:
        """The number that the next stream gets."""
        return self._sent

    def scan(self, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send a stream. Waits for answers while too many are under way. What `chunks` raises ends the stream, and is
        raised then: clamd scans what came before."""
        while len(self._waiting) >= AT_ONCE:
            self._take()
        self._send(b"zINSTREAM\0")
        failure: Exception | None = None
        try:
            for chunk in chunks:
                if len(chunk):
                    self._send(len(chunk).to_bytes(4, "big"))
                    self._send(chunk)
        except (Lost, TooSlow):
            raise
        except Exception as error:
            failure = error
        self._send(bytes(4))
        self._waiting.add(self._first + self._sent)
        self._sent += 1
        if failure is not None:
            raise failure

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
        self._connection.settimeout(WAIT_SECONDS)
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

    def _send(self, data: bytes | bytearray | memoryview) -> None:
        self._connection.settimeout(self._seconds)
        try:
            self._connection.sendall(data)
        except TimeoutError:
            raise TooSlow from None
        except OSError as error:
            raise Lost(self._last_words() or str(error)) from None

    def _last_words(self) -> str:
        """What clamd said before it closed the connection, for example that a limit is reached."""
        with contextlib.suppress(Lost, TooSlow):
            self._receive()
        return self._buffer.rstrip(b"\0\n").decode("utf-8", "replace")[:300]
