"""The sandbox with the driver in it, from outside: send cases, receive outcomes, end a process that hangs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import select
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from douane import sandbox
from douane.errors import DouaneError
from douane.host.advice import advise, with_advice
from douane.host.frames import Channel
from douane.host.handover import make_broker, opened_grants
from douane.host.messages import Violation
from douane.stream.temp_files import open_unnamed
from douane_plugin import wire
from douane_plugin._local import RING_BYTES, SLOT_BYTES

from .cases import Case, Outcome
from .subject import ENTRY, Subject

START_SECONDS = 30.0
MEMORY_BYTES = 512 << 20
"""The largest image. The memory is sparse, so that it costs only what an image fills."""

MEASURE_MS = 3
"""Between two measurements of memory, beside those that the driver asks for."""

MAX_PRINTED_AT_ONCE = 1 << 20
_F_ADD_SEALS, _F_SEAL_FUTURE_WRITE = 1033, 0x0010


class NotRun(DouaneError):
    """The suite could not run, because a grant, a program or the sandbox is missing. Exit code 3."""

    code = "not-run"


class Unusable(Exception):
    """The plugin does not load, or its configuration is wrong; `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.message)


class Died(Exception):
    """The process has ended, or was ended because it `hangs`."""

    def __init__(self, hangs: bool, reason: str = "") -> None:
        self.hangs = hangs
        self.reason = reason
        super().__init__(reason)


class SharedMemory:
    """Memory for the images, which the sandbox can read and not write, and the ring that the driver fills."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("images", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, MEMORY_BYTES)
        self._map = mmap.mmap(self.fd, MEMORY_BYTES)
        fcntl.fcntl(self.fd, _F_ADD_SEALS, _F_SEAL_FUTURE_WRITE)
        self.ring_fd = open_unnamed(tempfile.gettempdir())  # the sandbox refuses writable memory
        os.ftruncate(self.ring_fd, RING_BYTES)

    def put(self, images: Sequence[bytes]) -> list[int]:
        """Write `images` one after the other, and return the offset of each. The file ends with the last one."""
        os.ftruncate(self.fd, sum(map(len, images)))
        offsets, end = [], 0
        for image in images:
            offsets.append(end)
            end += len(image)
            self._map[offsets[-1] : end] = image
        return offsets

    def close(self) -> None:
        """Release the memory."""
        self._map.close()
        os.close(self.fd)
        os.close(self.ring_fd)


class DriverProcess:
    """One process that has loaded the plugin. It is of no use after it has raised Died.

    Raises Unusable if the plugin does not load, Died, NotRun, PlanError, SandboxError.
    """

    def __init__(self, subject: Subject, memory: SharedMemory, clock: float) -> None:
        self._memory = memory
        self._subject = subject
        self.printed = 0
        self._measures = False
        self._resident = 0
        opened = contextlib.ExitStack()
        self._broker = make_broker(subject.spec)
        try:
            grants = opened.enter_context(opened_grants(subject.spec, self._broker))
        except BaseException:
            self._end_broker()
            raise
        spec = msgspec.structs.replace(subject.sandbox_spec(), granted=grants.paths)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        image_fd = os.open(f"/proc/self/fd/{memory.fd}", os.O_RDONLY | os.O_CLOEXEC)
        self._pipe, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        scratch = subject.scratch()
        try:
            self._process = sandbox.start(
                spec,
                sandbox.PythonRuntime(ENTRY),
                channel=theirs.fileno(),
                keep=grants.fds(),
                readable=[image_fd],
                writable=[memory.ring_fd, *(scratch.fds if scratch is not None else [])],
                calls=self._broker.calls if self._broker is not None else None,
                stdout=write_end,
                stderr=write_end,
            )
        except BaseException:
            ours.close()
            os.close(self._pipe)
            self._end_broker()
            raise
        finally:
            theirs.close()
            opened.close()
            if self._broker is not None:
                self._broker.close_handed()
            for fd in (write_end, image_fd):
                os.close(fd)
        self._channel = Channel(ours)
        self._poll = select.poll()
        for fd in (ours.fileno(), self._pipe, self._process.fileno()):
            self._poll.register(fd, select.POLLIN)
        try:
            kind, payload = self._receive(START_SECONDS)
            if kind != wire.CAGED:
                raise NotRun(f"{subject.spec.name}: the process did not begin with the sandbox's report")
            sandbox.confirm(payload, spec)
            self._send(
                wire.LOAD,
                {
                    "use": msgspec.to_builtins(subject.code.target),
                    "config": subject.spec.config,
                    "texts": subject.spec.texts,
                    "name": subject.spec.name,
                    "log_level": 20,
                    "grants": msgspec.to_builtins(grants.sent),
                    "scratch": {"fds": scratch.fds, "bytes": scratch.size} if scratch is not None else None,
                    "rings": [{"fd": memory.ring_fd, "slot_bytes": SLOT_BYTES}],
                    "image_fd": image_fd,
                    "clock": clock,
                },
            )
            kind, payload = self._receive(subject.spec.start)
            if kind != wire.DESCRIBED:
                raise Unusable(self._outcome(payload))
            subject.described = msgspec.json.decode(payload, type=type(subject.described))
        except BaseException:
            self.close()
            raise

    def _receive(self, seconds: float) -> tuple[int, bytes]:
        """Return the next frame. Raises Died if there is none in time."""
        until = time.monotonic() + seconds
        while True:
            try:
                for frame in self._channel.frames():
                    return frame
            except Violation as error:
                raise Died(hangs=False, reason=str(error)) from None
            self._wait(until)

    def _wait(self, until: float) -> None:
        remaining = until - time.monotonic()
        if remaining <= 0:
            raise Died(hangs=True)
        milliseconds = max(1, round(remaining * 1000))
        ready = {fd for fd, _ in self._poll.poll(min(milliseconds, MEASURE_MS) if self._measures else milliseconds)}
        if self._measures:
            self._resident = max(self._resident, self.memory())
        if self._pipe in ready:
            self._drain()
        if self._channel.fileno() in ready:
            self._channel.receive()
            if self._channel.closed:
                raise Died(hangs=False, reason=self._end())
        elif self._process.fileno() in ready:
            raise Died(hangs=False, reason=self._end())

    def _drain(self) -> None:
        """Count the bytes that the plugin has printed so far."""
        size = 0
        with contextlib.suppress(BlockingIOError):
            while size < MAX_PRINTED_AT_ONCE and (data := os.read(self._pipe, 1 << 16)):
                size += len(data)
        self.printed += size

    def _end(self) -> str:
        try:
            code = self._process.wait(2.0)
        except TimeoutError:
            return "it closed its channel"
        return f"the process ended with status {code}" if code >= 0 else f"the process was ended by signal {-code}"

    def _send(self, kind: int, value: dict[str, Any]) -> None:
        payload = msgspec.json.encode(value)
        frame = kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload
        try:
            self._channel.socket.sendall(frame)
        except (BrokenPipeError, ConnectionResetError):
            raise Died(hangs=False, reason=self._end()) from None

    def run(self, cases: Sequence[Case], *, reload: bool, seconds: float) -> Iterator[Outcome]:
        """Yield the outcomes of `cases`, in order. Raises Died in place of an outcome."""
        offsets = self._memory.put([case.data for case in cases])
        orders = [case.to_json(offset, reload) for case, offset in zip(cases, offsets, strict=True)]
        self._send(wire.IMAGE, {"cases": orders})
        for case in cases:
            printed = self.printed
            self._measures, self._resident = case.measure_memory, 0
            outcome = self._outcome(self._answer(seconds))
            self._measures = False
            if outcome.id != case.id:
                raise Died(hangs=False, reason="it answered another case")
            self._drain()
            yield msgspec.structs.replace(outcome, printed=self.printed - printed, resident=self._resident)

    def _answer(self, seconds: float) -> bytes:
        """Return the driver's answer to a case; measure when it asks for that."""
        kind, payload = self._receive(seconds)
        while kind == wire.ALIVE:
            self._resident = max(self._resident, self.memory())
            self._send(wire.ALIVE, {})
            kind, payload = self._receive(seconds)
        return payload

    def memory(self) -> int:
        """The private memory of the processes in the sandbox, in bytes."""
        return self._process.measure().memory

    def _outcome(self, payload: bytes) -> Outcome:
        """Return the outcome in a frame; its trace ends with what an operator would read about the sandbox."""
        outcome = _outcome(payload)
        advice = advise(outcome.sandbox_cause, self._subject.view(self._process.visible))
        return msgspec.structs.replace(outcome, trace=with_advice(outcome.trace, advice)) if advice else outcome

    def _end_broker(self) -> None:
        if self._broker is not None:
            self._broker.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._end_broker()
        self._channel.close()
        os.close(self._pipe)


def _outcome(payload: bytes) -> Outcome:
    try:
        # Not msgspec's decoder: it refuses half a surrogate pair, which a plugin's text may hold.
        return msgspec.convert(json.loads(payload), Outcome)
    except (ValueError, msgspec.ValidationError) as error:
        raise Died(hangs=False, reason=f"it answered in another form: {error}") from None
