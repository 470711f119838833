"""Copies bytes between a plugin and a service on a Unix socket, so that nothing but bytes gets from one to the other.

A Unix socket carries descriptors (SCM_RIGHTS). gRPC and others call sendmsg(2), which can send them, and a filter
cannot see whether it does. A plugin that may call it therefore gets one end of a socket pair, whose other end is read
here by recv(2): the kernel closes descriptors that come with the bytes (unix(7)).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading

BUFFER_BYTES = 1 << 16
"""For each direction of a connection: what one side has sent and the other has not taken."""


class _End:
    """One of the two sockets, and the bytes that wait to be sent over it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.fd = connection.fileno()
        self.peer: _End = self
        self.unsent = memoryview(b"")
        self.has_ended = False
        """It sends no more bytes."""

        self.is_gone = False
        """It takes no more bytes either."""

        self.is_shut = False
        """It has been told that no more bytes come."""

    @property
    def events(self) -> int:
        """The epoll events to wait for; a hang-up is reported in any case."""
        reads = not self.has_ended and not self.peer.unsent
        return (select.EPOLLIN if reads else 0) | (select.EPOLLOUT if self.unsent else 0)

    def receive(self) -> bool:
        """Take what it has sent, if the other end has taken all before; False if there is nothing. Raises OSError."""
        if self.has_ended or self.peer.unsent:
            return False
        try:
            data = self.socket.recv(BUFFER_BYTES)
        except BlockingIOError:
            return False
        self.has_ended = not data
        self.peer.unsent = memoryview(data)
        return True

    def send(self) -> None:
        """Send what waits, as far as there is room. Raises OSError."""
        if self.is_gone:
            self.unsent = memoryview(b"")
        elif self.unsent:
            with contextlib.suppress(BlockingIOError):
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        if self.peer.has_ended and not self.unsent and not self.is_shut:
            self.is_shut = True
            with contextlib.suppress(OSError):  # it has hung up
                self.socket.shutdown(socket.SHUT_WR)


class ConnectionRelay:
    """One thread for the relayed connections of a plugin; it begins with the first."""

    def __init__(self, name: str) -> None:
        self.count = 0
        """Connections that have not ended, also those whose last bytes the service has not taken yet."""

        self._name = name
        self._ends: dict[int, _End] = {}
        self._added: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake_fd, select.EPOLLIN)

    def add(self, plugin: socket.socket, service: socket.socket) -> None:
        """Copy between the plugin's connection and the service's until one side hangs up. Takes over both sockets."""
        with self._lock:
            if self._is_closing:
                plugin.close()
                service.close()
                return
            self.count += 1
            self._added.append((plugin, service))
            os.eventfd_write(self._wake_fd, 1)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"relay of {self._name}", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread, and all connections with it. Idempotent."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
            os.eventfd_write(self._wake_fd, 1)
        if self._thread is not None:
            self._thread.join()
        for plugin, service in self._added:
            plugin.close()
            service.close()
        os.close(self._wake_fd)
        self._epoll.close()

    def _run(self) -> None:
        try:
            while not self._is_closing:
                for fd, events in self._epoll.poll():
                    if fd == self._wake_fd:
                        self._take_added()
                    elif (end := self._ends.get(fd)) is not None:
                        self._on_events(end, events)
        finally:
            for end in self._ends.values():
                end.socket.close()
            self._ends.clear()

    def _take_added(self) -> None:
        with self._lock:
            added, self._added = self._added, []
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)
        for sockets in added:
            plugin, service = map(_End, sockets)
            plugin.peer, service.peer = service, plugin
            for end in (plugin, service):
                self._ends[end.fd] = end
                self._epoll.register(end.fd, end.events)

    def _on_events(self, end: _End, events: int) -> None:
        try:
            if events & (select.EPOLLHUP | select.EPOLLERR):
                end.is_gone = True
            # What a side that has hung up left is taken at once: there are no events of it any more.
            while self._move(end) and (end.is_gone or end.peer.is_gone):
                pass
        except OSError:
            self._drop(end)
            return
        # Bytes of a side that has hung up still reach the other; then there is nobody to answer to.
        gone = next((side for side in (end, end.peer) if side.is_gone), None)
        is_over = end.has_ended and end.peer.has_ended and not end.unsent and not end.peer.unsent
        if is_over or (gone is not None and gone.has_ended and not gone.peer.unsent):
            self._drop(end)
            return
        for side in (end, end.peer):
            self._watch(side)

    def _move(self, end: _End) -> bool:
        """Move what can be moved now; False if nothing more was there. Raises OSError."""
        moved = False
        for side in (end, end.peer):
            side.peer.send()
            moved = side.receive() or moved
            side.peer.send()
        return moved

    def _watch(self, end: _End) -> None:
        # A hang-up is reported all the time. Until the other side has taken the last bytes, its events are enough.
        if end.is_gone:
            with contextlib.suppress(FileNotFoundError):
                self._epoll.unregister(end.fd)
        else:
            self._epoll.modify(end.fd, end.events)

    def _drop(self, end: _End) -> None:
        with self._lock:
            self.count -= 1
        for side in (end, end.peer):
            del self._ends[side.fd]
            with contextlib.suppress(FileNotFoundError):
                self._epoll.unregister(side.fd)
            side.socket.close()
