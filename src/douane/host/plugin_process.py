"""One plugin in one pass: its process, its pipes, its clocks, its verdict. Lives in the engine's loop."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from douane import sandbox
from douane.plan.plan import Plan, PluginSpec
from douane.plan.resolve import Resolved
from douane.report import PluginOutcome, Ran, Verdict, Warned
from douane.stream.channel_reader import RingReader
from douane.stream.temp_files import Scratch
from douane.units import MiB, show_duration, show_size
from douane_plugin import wire

from .clocks import Clock, Stopwatch
from .frames import Frames, Violation
from .log import BYTES_A_TICK, LogLine, PluginLog
from .loop import Loop

END_SECONDS = 3.0
"""How long a process may live on after its answer, or after it closed its channel without one."""


MEASURE_SECONDS = 0.1
"""How often the memory of a plugin's processes is added up: the second line behind the kernel's own limits."""

LIBRARIES_BYTES = 64 * MiB
"""What mapped code may add to a plugin's `memory`, which bounds what it allocates."""


class Host(Protocol):
    """The pass, as a member sees it."""

    loop: Loop
    plan: Plan
    log_level: int

    @property
    def emit(self) -> LogLine: ...

    def on_ready(self, member: Member) -> None: ...
    def on_decided(self, member: Member, *, unchanged: bool) -> None: ...
    def on_verdict(self, member: Member) -> None: ...


class Member:
    """What Python plugins and programs have in common. Subclasses speak with the process."""

    def __init__(self, spec: PluginSpec, resolved: Resolved, cage: sandbox.Cage, host: Host, segment: int) -> None:
        self.spec = spec
        self.resolved = resolved
        self.segment = segment
        self.host = host
        self.ready = False
        self.described: dict[str, Any] = {}
        self.verdict: Verdict | None = None
        self.warnings: list[Warned] = []
        self.log = PluginLog(spec.name, host.emit)
        self.stopwatch = Stopwatch()
        self.reader: RingReader | None = None
        self.is_transform = False
        self.reads = "stream"
        self.output: int | None = None  # the read end of a transform's output, until somebody takes it
        self.produced = 0
        self.scratch: Scratch | None = None  # until the pass has measured it for the last time, and gives it up
        self._cage = cage
        self._clock = Clock(None, spec.start)
        self._running = False
        self._logged = 0
        self._budget = BYTES_A_TICK
        self._paused: dict[int, Any] = {}
        self._process: sandbox.CagedProcess | None = None
        self._channel: socket.socket | None = None
        self._frames: Frames | None = None
        self._caged = False
        self._pipes: dict[str, int] = {}
        self._lingers: float | None = None
        self._unmeasured = 0.0

    # starting and ending the process

    def spawn(
        self,
        run: sandbox.PythonRuntime | sandbox.Program,
        keep: Sequence[int],
        readable: Sequence[int] = (),
        writable: Sequence[int] = (),
        stdin: int | None = None,
    ) -> None:
        """Start the caged process. Descriptors in `keep` and `stdin` stay the caller's to close."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        self._channel, self._frames = ours, Frames(ours)
        written: list[int] = []
        for name in ("stdout", "stderr"):
            self._pipes[name], end = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._pipes[name], False)
            written.append(end)
        try:
            self._process = sandbox.start(
                self._cage,
                run,
                channel=theirs.fileno(),
                keep=keep,
                readable=readable,
                writable=writable,
                stdin=stdin,
                stdout=written[0],
                stderr=written[1],
            )
        finally:
            theirs.close()
            for end in written:
                os.close(end)
        loop = self.host.loop
        loop.watch(ours.fileno(), self._on_channel)
        loop.watch(self._process.fileno(), self._on_end)
        for name, fd in self._pipes.items():
            loop.watch(fd, lambda name=name: self._on_log(name))  # type: ignore[misc]  # a default binds the loop's name

    def stop(self) -> None:
        """Another plugin has decided: end without a verdict of its own."""
        self.finish("stopped", "stopped", "the check was ended early: the image was decided without it")

    def fail(self, outcome: PluginOutcome, code: str, what: str, detail: str | None = None) -> None:
        """End with a failure. `what` completes "the check NAME ..." for the tenant."""
        self.finish(outcome, code, f"the check {self.spec.name!r} {what}", detail=detail)

    def finish(self, outcome: PluginOutcome, code: str | None, message: str | None, **more: Any) -> None:
        """Set the verdict, end the process, tell the pass. Only the first call counts."""
        if self.verdict is not None:
            return
        self.stopwatch.stop()
        seen = int(more.pop("seen", self.bytes_seen()))
        self.verdict = Verdict(
            plugin=self.spec.name,
            outcome=outcome,
            code=code,
            message=message,
            mode=self.spec.mode,
            warnings=list(self.warnings),
            bytes_seen=seen,
            seconds=round(self.stopwatch.seconds, 6),
            ran=self.ran(),
            **more,
        )
        self.end_process()
        if self.reader is not None:
            self.reader.detach()
        self.host.on_verdict(self)

    def refuse(self, code: str | None, message: str) -> None:
        """What it made is refused: also where it has answered before that was seen, as it may have made all of it at
        once."""
        if self.verdict is None:
            self.finish("refused", code, message)
        elif self.verdict.outcome == "accepted":
            self.verdict.outcome, self.verdict.code, self.verdict.message = "refused", code, message
            self.verdict.properties = {}
            self.host.on_verdict(self)

    def ran(self) -> Ran:
        """What exactly was run."""
        return Ran(
            use=self.spec.use,
            kind=("transform" if self.is_transform else "inspector") if self.ready else None,
            reads=self.reads if self.ready else None,
            api=self.described.get("api"),
            version=self.resolved.version,
            code_sha256=self.resolved.code_sha256,
            config_sha256=self.spec.config_digest(),
            sandbox=self._cage.tier.value,
        )

    def end_process(self) -> None:
        """Kill what is left and close all that was opened. Idempotent."""
        loop = self.host.loop
        if self._process is not None:
            loop.forget(self._process.fileno())
            self._process.kill()
            self._process = None
        if self._channel is not None:
            loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
        for name, fd in self._pipes.items():
            loop.forget(fd)
            with contextlib.suppress(BlockingIOError):
                if data := os.read(fd, 1 << 16):
                    self.log.stream(name, data)
            os.close(fd)
        self._pipes.clear()
        self._paused.clear()
        self.log.close()

    def overran(self) -> None:
        """An auditor fell behind by more than the ring holds."""
        what = "was too slow to watch, and an auditor never holds up an import"
        self.fail("incomplete", "auditor-too-slow", what)

    # what comes from the process

    def _on_log(self, name: str) -> None:
        fd = self._pipes.get(name)
        if fd is None:
            return
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self.host.loop.forget(fd)
            return
        full = self.log.is_full
        self.log.stream(name, data)
        # What is dropped anyway costs little more than its reading; a program that prints much is no slower for it.
        self._charge(len(data) // 64 if full else len(data), fd, lambda: self._on_log(name))

    def _charge(self, size: int, fd: int, callback: Any) -> None:
        """A descriptor over its rate is left alone until the next tick: whoever floods it has to wait."""
        self._budget -= size
        if self._budget < 0:
            self._paused[fd] = callback
            self.host.loop.forget(fd)

    def _on_channel(self) -> None:
        if self._frames is None or self._channel is None:
            return
        size = self._frames.receive()
        self._charge(size, self._channel.fileno(), self._on_channel)
        self._take_frames()

    def _take_frames(self) -> None:
        assert self._frames is not None
        try:
            for kind, payload in self._frames:
                if not self._caged:
                    self._confirm(kind, payload)
                else:
                    self.on_frame(kind, payload)
                if self.verdict is not None:
                    return
        except Violation as error:
            self.fail("failed", "plugin-protocol", "broke off the conversation with Douane", f"{error}")
            return
        if self._frames.closed and self._channel is not None:
            self._paused.pop(self._channel.fileno(), None)
            self.host.loop.forget(self._channel.fileno())
            self.on_closed()

    def _confirm(self, kind: int, payload: bytes) -> None:
        if kind != wire.CAGED:
            raise Violation(f"its first frame is {wire.TYPES.get(kind, kind)}, not CAGED")
        sandbox.confirm(payload, self._cage)
        self._caged = True
        self.on_caged()

    def _on_end(self) -> None:
        """The process has ended: hear what it still said, then conclude."""
        process, frames = self._process, self._frames
        if process is None or frames is None:
            return
        while not frames.closed and frames.receive():
            pass
        for name, fd in self._pipes.items():
            with contextlib.suppress(BlockingIOError):
                while data := os.read(fd, 1 << 16):
                    self.log.stream(name, data)
        self._take_frames()
        if self.verdict is None:
            code = process.poll()
            self.on_exit(code if code is not None else process.wait(END_SECONDS))

    def outlives(self) -> None:
        """Called when the process should end by itself now; it gets END_SECONDS."""
        if self._lingers is None:
            self._lingers = 0.0

    # clocks

    def run_clock(self) -> None:
        """The plugin has its image: from here on stall and total count."""
        self._running = True
        stall = None if self.reads in ("random", "nothing", "findings") else self.spec.stall
        self._clock = Clock(stall, self.spec.timeout)
        self.stopwatch.start()

    def tick(self, seconds: float, *, blocked: bool) -> None:
        """A moment has passed. `blocked`: a transform that waits for those after it has no work."""
        if self.verdict is not None or self._process is None:
            return
        self._budget = BYTES_A_TICK
        for fd, callback in self._paused.items():
            self.host.loop.watch(fd, callback)
        self._paused.clear()
        if self._lingers is not None:
            self._lingers += seconds
            if self._lingers > END_SECONDS:
                self.on_lingering()
            return
        if self.reader is not None and self.reader.clogged:
            self.fail(
                "failed",
                "plugin-protocol",
                "broke off the conversation with Douane",
                "it does not read its channel",
            )
            return
        if self._over_memory(seconds) or self._over_scratch():
            return
        busy = not self.ready or (self._running and self.busy() and not blocked)
        if self._running:
            (self.stopwatch.start if busy else self.stopwatch.stop)()
        elif self.ready:
            return
        late = self._clock.tick(seconds, busy=busy, progress=(self.progress(), self._logged, self.produced))
        if late is not None:
            self._too_late(late)

    def _over_memory(self, seconds: float) -> bool:
        assert self._process is not None
        self._unmeasured += seconds
        if self._unmeasured < MEASURE_SECONDS:
            return False
        self._unmeasured = 0.0
        used = self._process.measure().memory
        if used <= self.spec.memory + LIBRARIES_BYTES:
            return False
        self.fail(
            "failed",
            "plugin-memory",
            f"used more memory than its bound of {show_size(self.spec.memory)}",
            f"{show_size(used)} were in use; raise 'memory' if the plugin needs that",
        )
        return True

    def _over_scratch(self) -> bool:
        # Each file is bounded in its length by the kernel (RLIMIT_FSIZE); what all take together is seen here.
        if self.scratch is None or self.scratch.used() <= self.scratch.size:
            return False
        self.fail(
            "failed",
            "plugin-scratch",
            f"wrote more than its bound of {show_size(self.scratch.size)} into its scratch files",
            "raise 'scratch' if the plugin needs that",
        )
        return True

    def _too_late(self, clock: str) -> None:
        if not self.ready:
            self.fail(
                "timeout",
                "plugin-slow-start",
                f"was not ready within {show_duration(self.spec.start)}",
                "raise 'start' if the plugin needs longer to load",
            )
        elif clock == "stall":
            self.fail(
                "timeout",
                "plugin-stalled",
                f"made no progress for {show_duration(self.spec.stall)}",
                f"it had let go of {self.progress()} bytes; raise 'stall' if it needs longer for one piece of work",
            )
        else:
            self.fail(
                "timeout",
                "plugin-timeout",
                f"needed more than {show_duration(self.spec.timeout)} for the image",
                "raise 'timeout' if it needs longer",
            )

    # what subclasses say

    def bytes_seen(self) -> int:
        return self.reader.consumed if self.reader is not None else 0

    def progress(self) -> int:
        return self.reader.consumed if self.reader is not None else 0

    def busy(self) -> bool:
        reader = self.reader
        return reader is None or reader.ended or reader.consumed < reader.sent

    def on_caged(self) -> None:
        raise NotImplementedError

    def on_frame(self, kind: int, payload: bytes) -> None:
        raise Violation(f"it sent a {wire.TYPES.get(kind, kind)} frame")

    def on_closed(self) -> None:
        raise NotImplementedError

    def on_exit(self, code: int) -> None:
        raise NotImplementedError

    def on_lingering(self) -> None:
        self.fail("failed", "plugin-protocol", "did not end after its answer")
