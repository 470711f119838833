"""The broker: makes the connections that a plugin asks for, outside its sandbox, to the targets of its grants alone.

A plugin asks in two ways. It sends a byte over the control socket of a grant: the socket says which grant is meant, so
the byte has no meaning. Or a library in its process calls connect(2) with a path of `socket_paths`: the kernel stops
the call and tells the broker (`douane.sandbox.connect_calls`). Both get the descriptor of a connected socket. The
broker keeps none, and has no frames to parse. It reads no byte that is sent over a connection, except for a plugin with
`socket_paths` and a grant on a Unix socket (`connection_relay.py`).
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import os
import select
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec

from douane import sandbox
from douane.errors import DouaneError

from .connection_budget import ConnectionBudget
from .connection_relay import ConnectionRelay

Connect = Callable[[], socket.socket]
Answer = Callable[[socket.socket | OSError], None]

REQUEST_BYTES = 16
"""A request has one byte. More in one message are one request."""

CALLS_AT_ONCE = 8
"""Calls of connect(2) that are dealt with at the same time; others wait in the kernel."""


class _Request(msgspec.Struct, frozen=True):
    grant: str
    answer: Answer


class _Made(msgspec.Struct, frozen=True):
    """What came of a request."""

    request: _Request
    result: socket.socket | OSError


class Broker:
    """One thread for one plugin, from the start of its process to the end.

    `targets` connects each grant, by name. `controls` has the plugin's end of the control socket of each. `calls` is
    the launcher's end of a socket for the plugin's calls of connect(2); None if `folders`, the folder of each grant's
    socket by grant, is empty. Connections of the grants `relayed` are copied (`connection_relay`), not handed over.
    """

    def __init__(
        self, name: str, targets: Mapping[str, Connect], folders: Mapping[str, str], relayed: Iterable[str] = ()
    ) -> None:
        self.controls: dict[str, int] = {}
        self.calls: int | None = None
        self._targets = dict(targets)
        self._relayed = frozenset(relayed)
        self._relay = ConnectionRelay(name) if self._relayed else None
        self._folders = {folder: grant for grant, folder in folders.items()}
        self._budget = ConnectionBudget(time.monotonic())
        self._connecting = 0
        self._waiting: list[tuple[float, int, _Request]] = []
        self._order = itertools.count()
        self._made: deque[_Made] = deque()
        self._lock = threading.Lock()
        self._is_closing = False
        self._listener: int | None = None
        self._calls_in_work = 0
        self._ours: list[socket.socket] = []
        # The kernel drops a socket from this list when the last descriptor of it is closed, wherever that is: its
        # length is the number of open connections, and it holds none of them open (epoll(7)).
        self._open = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_fd, selectors.EVENT_READ, self._finish_made)
        for grant in targets:
            self._add_control(grant)
        if folders:
            self._add_calls()
        self._thread = threading.Thread(target=self._run, name=f"broker of {name}", daemon=True)
        self._thread.start()

    def close_handed(self) -> None:
        """Close `controls` and `calls`, when the plugin's process has its own. Idempotent."""
        for fd in (*self.controls.values(), *([self.calls] if self.calls is not None else [])):
            os.close(fd)
        self.controls, self.calls = {}, None

    def close(self) -> None:
        """End the thread and close all that is the broker's. Connections that are being made are closed when they are
        made. Idempotent."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
            os.eventfd_write(self._wake_fd, 1)
        self._thread.join()
        if self._relay is not None:
            self._relay.close()
        self.close_handed()

    def for_plugin(self, grant: str, connection: socket.socket) -> socket.socket:
        """What the plugin gets of a connection to the target of `grant`: itself, or a socket that is relayed to it."""
        if self._relay is None or grant not in self._relayed:
            return connection
        near, far = socket.socketpair()
        sandbox.refuse_descriptors(near)
        self._relay.add(near, connection)
        return far

    # the thread

    def _run(self) -> None:
        try:
            while not self._is_closing:
                for key, _ in self._selector.select(self._seconds_to_wait()):
                    key.data()
                while self._waiting and self._waiting[0][0] <= time.monotonic():
                    self._start(heapq.heappop(self._waiting)[2])
        finally:
            self._close_all()

    def _seconds_to_wait(self) -> float | None:
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def _close_all(self) -> None:
        with self._lock:  # after this, `_post` closes what it is given
            self._is_closing = True
            connections = list(self._made)
            os.close(self._wake_fd)
        for connection in connections:
            _discard(connection.result)
        self._selector.close()
        for end in self._ours:
            end.close()
        if self._listener is not None:
            os.close(self._listener)
        self._open.close()

    # requests over a control socket

    def _add_control(self, grant: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.append(ours)
        self.controls[grant] = theirs.detach()
        ours.setblocking(False)
        sandbox.refuse_descriptors(ours)
        self._watch_control(grant, ours)

    def _watch_control(self, grant: str, control: socket.socket) -> None:
        self._selector.register(control, selectors.EVENT_READ, lambda: self._on_control(grant, control))

    def _on_control(self, grant: str, control: socket.socket) -> None:
        # One at a time: until it is answered, the socket is not read, and the kernel bounds what waits there.
        self._selector.unregister(control)
        try:
            message = control.recv(REQUEST_BYTES)  # the kernel closes descriptors that came with it (unix(7))
        except BlockingIOError:
            self._watch_control(grant, control)
            return
        except OSError:
            message = b""
        if message:
            self._admit(_Request(grant, lambda result: self._answer_control(grant, control, result)))

    def _answer_control(self, grant: str, control: socket.socket, result: socket.socket | OSError) -> None:
        try:
            if isinstance(result, OSError):
                number = result.errno or errno.ECONNREFUSED
                control.send(number.to_bytes(4, "little") + (result.strerror or str(result)).encode()[:500])
            else:
                socket.send_fds(control, [bytes(4)], [result.fileno()])
        except OSError:
            return  # it has closed its end, or reads no answers: it gets no more
        self._watch_control(grant, control)

    # calls of connect(2)

    def _add_calls(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.append(ours)
        self.calls = theirs.detach()
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._take_listener(ours))

    def _take_listener(self, ours: socket.socket) -> None:
        """The launcher sends it before the plugin's code is loaded, and closes its end."""
        self._selector.unregister(ours)
        with contextlib.suppress(OSError):
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            if fds:
                self._listener = fds[0]
                self._watch_calls()

    def _watch_calls(self) -> None:
        if self._listener is not None and self._calls_in_work < CALLS_AT_ONCE:
            with contextlib.suppress(KeyError):  # it is watched already
                self._selector.register(self._listener, selectors.EVENT_READ, self._on_call)

    def _on_call(self) -> None:
        listener = self._listener
        assert listener is not None
        try:
            call = sandbox.receive_call(listener)
        except OSError:  # no process is left that could call
            self._selector.unregister(listener)
            return
        if call is None:
            return
        grant = self._folders.get(os.path.dirname(call.path)) if call.path is not None else None
        if grant is None:
            call.refuse(call.error or errno.EPERM)
            return
        self._calls_in_work += 1
        if self._calls_in_work >= CALLS_AT_ONCE:
            self._selector.unregister(listener)

        def answer(result: socket.socket | OSError) -> None:
            self._calls_in_work -= 1
            if isinstance(result, OSError):
                call.refuse(result.errno or errno.ECONNREFUSED)
            else:
                call.hand_over(result)
            self._watch_calls()

        self._admit(_Request(grant, answer))

    # making connections

    def _admit(self, request: _Request) -> None:
        refusal = self._budget.refusal(self._open_now() + self._connecting)
        if refusal is not None:
            # Not EAGAIN: asyncio would wait until the socket can be written, which it can, and take it for connected.
            request.answer(OSError(errno.ECONNREFUSED, refusal))
            return
        self._connecting += 1
        now = time.monotonic()
        if seconds := self._budget.take(now):
            heapq.heappush(self._waiting, (now + seconds, next(self._order), request))
        else:
            self._start(request)

    def _open_now(self) -> int:
        with open(f"/proc/self/fdinfo/{self._open.fileno()}") as file:
            handed_over = sum(line.startswith("tfd:") for line in file)
        return handed_over + (self._relay.count if self._relay is not None else 0)

    def _start(self, request: _Request) -> None:
        # A thread for each, so that a target that hangs holds up no other. There are at most OPEN_AT_ONCE.
        connect = self._targets[request.grant]
        try:
            threading.Thread(target=self._connect, args=(request, connect), daemon=True).start()
        except RuntimeError:
            self._finish(_Made(request, OSError(errno.ECONNREFUSED, "Douane can start no thread for the connection")))

    def _connect(self, request: _Request, connect: Connect) -> None:
        result: socket.socket | OSError
        try:
            result = connect()
        except DouaneError as error:
            cause = error.__cause__
            number = cause.errno if isinstance(cause, OSError) and not isinstance(cause, socket.gaierror) else None
            number = errno.ETIMEDOUT if isinstance(cause, TimeoutError) else number
            result = OSError(number or errno.ECONNREFUSED, str(error))
        except OSError as error:
            result = error
        self._post(_Made(request, result))

    def _post(self, made: _Made) -> None:
        with self._lock:
            if not self._is_closing:
                self._made.append(made)
                os.eventfd_write(self._wake_fd, 1)
                return
        _discard(made.result)

    def _finish_made(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        while self._made and not self._is_closing:
            self._finish(self._made.popleft())

    def _finish(self, made: _Made) -> None:
        self._connecting -= 1
        if isinstance(made.result, OSError):
            made.request.answer(made.result)
            return
        with self.for_plugin(made.request.grant, made.result) as connection:
            if connection is made.result:
                self._open.register(connection, 0)
            made.request.answer(connection)


def _discard(result: socket.socket | OSError) -> None:
    if isinstance(result, socket.socket):
        result.close()
