"""A connection to a server on the web: to an address that was checked, and never for longer than is allowed."""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import httpcore

from douane.errors import SourceError
from douane.imports.settings.structs import WebDownloadSettings
from douane.stream.ring import RingStopped

from .addresses import Address, AddressRules
from .url import WebUrl, refused

T = TypeVar("T")

Resolver = Callable[[str, int], list[Address]]
"""The addresses of a host. Raises OSError."""
RATE_SECONDS = 60.0
MAX_ADDRESSES = 16
"""Of one name: more are not tried."""


class Stalled(TimeoutError):
    """A server was silent for too long: the connection counts as broken."""


def system_resolver(host: str, port: int) -> list[Address]:
    """The addresses by the system's resolver."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [ipaddress.ip_address(entry[4][0]) for entry in entries]


class Pace:
    """The clocks of a download. Only time in which we wait for the server counts for its rate: plugins may be slow.

    `seconds` are for everything; `stop_fd` becomes readable when the run has ended.
    """

    def __init__(self, host: str, settings: WebDownloadSettings, seconds: float, stop_fd: int | None = None) -> None:
        self._host = host
        self.stall = settings.stall
        self._min_rate = settings.min_rate
        self._window = RATE_SECONDS
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._phase = float("inf")
        self._stop_fd = stop_fd
        self._waited = 0.0
        self._bytes = 0

    def begin_phase(self, seconds: float) -> None:
        """What follows, a connection or the headers of an answer, has this long; then it is `Stalled`."""
        self._phase = time.monotonic() + seconds

    def end_phase(self) -> None:
        """The bytes of an answer follow: only silence ends them, or the rate."""
        self._phase = float("inf")

    def watch(self, stop_fd: int) -> None:
        """From now on a wait ends with RingStopped when `stop_fd` becomes readable."""
        self._stop_fd = stop_fd

    def left(self) -> float:
        """Seconds until the present phase or the download must end. Raises SourceError after the end of the latter."""
        now = time.monotonic()
        if now >= self._deadline:
            raise SourceError(
                f"the download from {self._host} took longer than {self._seconds:g} seconds", code="too-slow"
            )
        return min(self._phase, self._deadline) - now

    def wait(self, fd: int, events: int, seconds: float | None = None) -> None:
        """Wait for `fd`, at most `seconds`. Raises Stalled, RingStopped, and SourceError ``too-slow``."""
        begin = time.monotonic()
        longest = self.stall if seconds is None else min(seconds, self.stall)
        ready = self._poll({fd: events}, min(self.left(), longest))
        self._waited += time.monotonic() - begin
        self._check_rate()
        if not ready:
            self.left()
            raise Stalled(f"{self._host} sent nothing for too long")

    def sleep(self, seconds: float) -> None:
        """Wait between two attempts. Raises as `wait`."""
        self.end_phase()
        begin = time.monotonic()
        self._poll({}, min(self.left(), seconds))
        self._waited += time.monotonic() - begin
        self.left()

    def _poll(self, events: dict[int, int], seconds: float) -> bool:
        poll = select.poll()
        for fd, mask in events.items():
            poll.register(fd, mask)
        if self._stop_fd is not None:
            poll.register(self._stop_fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0, seconds) * 1000)}
        if self._stop_fd in ready:
            raise RingStopped
        return bool(ready)

    def count(self, length: int) -> None:
        """`length` bytes arrived."""
        self._bytes += length

    def _check_rate(self) -> None:
        if self._waited < self._window:
            return
        if self._bytes < self._min_rate * self._waited:
            raise SourceError(
                f"{self._host} sends too slowly: less than {self._min_rate} bytes a second over "
                f"{self._waited:.0f} seconds",
                code="too-slow",
            )
        self._waited, self._bytes = 0.0, 0


class Stream(httpcore.NetworkStream):
    """A socket that never waits but in its `Pace`; the timeouts that httpcore passes are not needed."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._socket = sock
        self._pace = pace

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See :class:`httpcore.NetworkStream`."""
        data = self._attempt(lambda: self._socket.recv(max_bytes), select.POLLIN)
        self._pace.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See :class:`httpcore.NetworkStream`. With the request begins the time for the header of the answer."""
        self._pace.begin_phase(self._pace.stall)
        view = memoryview(buffer)
        while view:
            view = view[self._attempt(partial(self._socket.send, view), select.POLLOUT) :]

    def close(self) -> None:
        """See :class:`httpcore.NetworkStream`."""
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """TLS with the server of this name: its certificate has to be for it, whatever the address is."""
        try:
            secure = ssl_context.wrap_socket(
                self._socket, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._socket = secure
            self._attempt(secure.do_handshake, select.POLLIN)
        except BaseException:
            self.close()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """See :class:`httpcore.NetworkStream`."""
        return self._socket if info == "socket" else None

    def _attempt(self, call: Callable[[], T], events: int) -> T:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self._pace.wait(self._socket.fileno(), select.POLLIN)
            except ssl.SSLWantWriteError:
                self._pace.wait(self._socket.fileno(), select.POLLOUT)
            except BlockingIOError:
                self._pace.wait(self._socket.fileno(), events)


class CheckedBackend(httpcore.NetworkBackend):
    """Resolves a name once, checks every address, and connects to one of these addresses: a name that resolves to
    another address a moment later changes nothing."""

    def __init__(self, rules: AddressRules | None, resolver: Resolver, pace: Pace, connect_timeout: float) -> None:
        """`rules` is None for the operator's own proxy, which is not checked."""
        self._rules = rules
        self._resolver = resolver
        self._pace = pace
        self._connect_timeout = connect_timeout

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """See :class:`httpcore.NetworkBackend`. Raises OSError, and SourceError ``not-allowed``."""
        self._pace.begin_phase(self._connect_timeout)
        addresses = self._resolve(host, port)
        reason = self._rules.refuse_addresses(host, addresses) if self._rules is not None else None
        if reason is not None:
            raise refused(f"the host {host}", reason)
        problem: OSError | None = None
        for number, address in enumerate(addresses):
            try:
                seconds = self._pace.left() / (len(addresses) - number)  # one that is silent leaves time for the next
                return Stream(self._connect(address, port, seconds), self._pace)
            except OSError as error:
                problem = error
        assert problem is not None
        raise problem

    def _connect(self, address: Address, port: int, seconds: float) -> socket.socket:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            try:
                sock.connect((str(address), port))
            except BlockingIOError:
                self._pace.wait(sock.fileno(), select.POLLOUT, seconds)
                if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(number, os.strerror(number)) from None
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            sock.close()
            raise
        return sock

    def _resolve(self, host: str, port: int) -> list[Address]:
        """In a thread, since getaddrinfo(3) waits for as long as resolv.conf(5) says."""
        answers: list[list[Address]] = []
        problems: list[Exception] = []
        near, far = os.pipe2(os.O_CLOEXEC)  # each side closes its own end, so that neither closes what is in use

        def ask() -> None:
            try:
                answers.append(list(dict.fromkeys(self._resolver(host, port)))[:MAX_ADDRESSES])
            except Exception as error:
                problems.append(error)
            finally:
                os.close(far)

        threading.Thread(target=ask, name="douane-resolver", daemon=True).start()
        try:
            self._pace.wait(near, select.POLLIN)
        finally:
            os.close(near)
        for problem in problems:
            raise problem
        if not answers[0]:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return answers[0]


def open_connection(
    url: WebUrl, settings: WebDownloadSettings, resolver: Resolver, pace: Pace
) -> httpcore.HTTPConnection | httpcore.HTTPProxy:
    """What sends one request to the host of `url`, and connects when it does."""
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.proxy is not None:
        backend = CheckedBackend(None, resolver, pace, settings.connect_timeout)
        return httpcore.HTTPProxy(settings.proxy, ssl_context=context, network_backend=backend, max_connections=1)
    backend = CheckedBackend(AddressRules(settings), resolver, pace, settings.connect_timeout)
    origin = httpcore.Origin(url.scheme.encode(), url.host.encode(), url.port)
    return httpcore.HTTPConnection(origin, ssl_context=context, network_backend=backend)
