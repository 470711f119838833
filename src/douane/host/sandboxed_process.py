"""A process in its sandbox with all that connects it to the loop: its channel, its output, its end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence

import msgspec

from douane import sandbox
from douane_plugin import wire

from .frames import Channel
from .log import PluginLog
from .loop import Loop
from .messages import Violation, name_of
from .pipes import OutputPipes, RateLimit


class SandboxedProcess:
    """Started once, ended once. Before the start and after the end it does nothing and has nothing to say."""

    def __init__(self, sandbox_spec: sandbox.SandboxSpec, loop: Loop, log: PluginLog) -> None:
        self._sandbox_spec = sandbox_spec
        self._loop = loop
        self._log = log
        self._rate = RateLimit(loop)
        self._pipes = OutputPipes(loop, log, self._rate)
        self._process: sandbox.SandboxProcess | None = None
        self._channel: Channel | None = None
        self._on_channel: Callable[[], None] | None = None
        self.visible: tuple[str, ...] = ()
        self.folder = ""
        """The files and folders that the sandbox shows; known from the start on."""

    def start(
        self,
        code: sandbox.PythonRuntime | sandbox.Program,
        keep: Sequence[int] = (),
        readable: Sequence[int] = (),
        writable: Sequence[int] = (),
        stdin: int | None = None,
        calls: int | None = None,
        *,
        granted: Sequence[sandbox.GrantedPath] = (),
        on_channel: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        """Start the process. Descriptors in `keep`, `stdin` and `calls` stay the caller's to close.

        `granted` are paths that its sandbox shows as well. `on_channel` is called when the channel can be read,
        `on_end` when the process has ended. Raises SandboxError.
        """
        self._sandbox_spec = msgspec.structs.replace(self._sandbox_spec, granted=tuple(granted))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        sandbox.refuse_descriptors(ours)
        self._channel = Channel(ours)
        stdout, stderr = self._pipes.open()
        try:
            self._process = sandbox.start(
                self._sandbox_spec,
                code,
                channel=theirs.fileno(),
                keep=keep,
                readable=readable,
                writable=writable,
                stdin=stdin,
                calls=calls,
                stdout=stdout,
                stderr=stderr,
            )
        finally:
            theirs.close()
            os.close(stdout)
            os.close(stderr)
        self.visible, self.folder = self._process.visible, self._process.folder
        self._on_channel = on_channel
        self._loop.watch(self._channel.fileno(), on_channel)
        self._loop.watch(self._process.fileno(), on_end)
        self._pipes.watch()

    def adopt(
        self,
        process: sandbox.SandboxProcess,
        channel: Channel,
        pipes: dict[str, int],
        *,
        on_channel: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        """Go on with a process that has served an image, in place of :meth:`start`."""
        self._channel, self._process = channel, process
        self._pipes.adopt(pipes)
        self._on_channel = on_channel
        self._loop.watch(self._channel.fileno(), on_channel)
        self._loop.watch(self._process.fileno(), on_end)
        self._pipes.watch()

    def give_up(self) -> tuple[sandbox.SandboxProcess, Channel, dict[str, int]]:
        """Leave the running process to the caller: it, its channel and its pipes. There is nothing to end then."""
        process, channel = self._process, self._channel
        assert process is not None and channel is not None
        self._loop.forget(process.fileno())
        self._rate.drop(channel.fileno())
        self._process = self._channel = None
        return process, channel, self._pipes.give_up()

    @property
    def bounds(self) -> sandbox.Bounds:
        """The bounds of its sandbox."""
        return self._sandbox_spec.bounds

    @property
    def is_running(self) -> bool:
        """True from the start to the end."""
        return self._process is not None

    @property
    def socket(self) -> socket.socket | None:
        """The engine's end of the channel, for a thread that sends the image."""
        return self._channel.socket if self._channel is not None else None

    # the channel

    def send(self, frame: bytes) -> None:
        """Send a frame, at once or as soon as there is room."""
        if self._channel is not None:
            self._channel.send(frame)
            self._watch_channel(self._channel)

    def send_with_descriptors(self, frame: bytes, fds: Sequence[int]) -> None:
        """Send a frame with copies of `fds`. Raises OSError."""
        if self._channel is not None:
            self._channel.send_with_descriptors(frame, fds)
            self._watch_channel(self._channel)

    def _watch_channel(self, channel: Channel) -> None:
        if self._on_channel is not None:
            self._loop.watch(channel.fileno(), self._on_channel, write=channel.has_unsent)

    def receive(self) -> None:
        """Read and send what can be read and sent now, within the rate."""
        channel = self._channel
        if channel is None or self._on_channel is None:
            return
        if channel.has_unsent:
            channel.flush()
            self._watch_channel(channel)
        self._rate.charge(channel.receive(), channel.fileno(), self._on_channel)

    def receive_rest(self) -> None:
        """Read the remaining frames and output of the ended process."""
        channel = self._channel
        while channel is not None and not channel.closed and channel.receive():
            pass
        self._pipes.drain()

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield the whole frames received so far. Raises Violation."""
        if self._channel is not None:
            yield from self._channel.frames()

    def has_hung_up(self) -> bool:
        """True if the process has closed its end; the channel is watched no more then."""
        if self._channel is None or not self._channel.closed:
            return False
        self._rate.drop(self._channel.fileno())
        return True

    def has_partial_frame(self) -> bool:
        """True if the received bytes end in the middle of a frame."""
        return self._channel is not None and self._channel.has_partial_frame

    def confirm(self, kind: int, payload: bytes) -> None:
        """Check the process's first frame, which says that the sandbox is closed. Raises Violation, SandboxError."""
        if kind != wire.CAGED:
            raise Violation(f"its first frame is {name_of(kind)}, not CAGED")
        sandbox.confirm(payload, self._sandbox_spec)
        if self._process is not None:
            self._process.give_way()

    # the process

    def refill(self) -> None:
        """A tick has begun: as much as the rate allows may be read again."""
        self._rate.refill()

    def memory(self) -> int:
        """Bytes that the process and its children use now."""
        return self.usage().memory

    def usage(self) -> sandbox.Usage:
        """What the process and its children use now."""
        return self._process.measure() if self._process is not None else sandbox.Usage(0, 0, 0)

    def temporary(self) -> sandbox.FolderUsage | None:
        """The contents of its private /tmp, if that is a folder on the disk."""
        return self._process.temporary() if self._process is not None else None

    def exit_code(self, seconds: float) -> int | None:
        """The return code of the ended process, waited for at most `seconds`; None if it was not running."""
        if self._process is None:
            return None
        code = self._process.poll()
        return code if code is not None else self._process.wait(seconds)

    def end(self) -> None:
        """Kill what still runs and close all that was opened. Idempotent."""
        if self._process is not None:
            self._loop.forget(self._process.fileno())
            self._process.kill()
            self._process = None
        if self._channel is not None:
            self._rate.drop(self._channel.fileno())
            self._channel.close()
            self._channel = None
        self._pipes.close()
        self._log.close()
