"""The cage with the driver in it, seen from outside: send cases, get outcomes, end what hangs."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import json
import marshal
import mmap
import os
import select
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from douane import sandbox
from douane.errors import DouaneError

from .cases import Case, Outcome
from .subject import ENTRY, Described, Subject

START_SECONDS = 30.0
CASE_SECONDS = 8.0
HUNG_SECONDS = 2.0
"""How long a case may take once another one has hung."""

MOST_HUNG = 4
MOST_DEAD = 60
MOST_OVERFLOWS = 40
MOST_SLOW = 8
SLOW_SECONDS = 2.0
SMALL = 1 << 16
BATCH = 64
BATCH_BYTES = 8 << 20
MOST_ANSWER = 48 << 20
_F_ADD_SEALS, _F_SEAL_FUTURE_WRITE = 1033, 0x0010


class NotRun(DouaneError):
    """The suite could not be run: for want of a grant, a program, a sandbox. Exit code 3."""

    code = "not-run"


class Unusable(Exception):
    """The plugin does not load, or is configured wrongly: `told` is what the driver said."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.told = told
        super().__init__(str(told.get("message")))


class GaveUp(Exception):
    """The plugin hangs or dies so often that nothing more can be learned."""


OFTEN = "the plugin hangs, dies or waits so often that the rest was left out; mend that, and run it again"


class Died(Exception):
    """The process has ended, or was ended for `hangs`."""

    def __init__(self, hangs: bool, how: str = "") -> None:
        self.hangs = hangs
        self.how = how
        super().__init__(how)


class Memory:
    """Where the images stand: the cage reads it, and cannot write it."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("conformance", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._size = 0
        self._map: mmap.mmap | None = None
        self._sealed = False
        self.reserve(BATCH_BYTES)

    def reserve(self, size: int) -> bool:
        """Room for `size` bytes. False if a cage that is open already could not see it: start it anew."""
        if self._map is not None and size <= len(self._map):
            return True
        fresh = self._map is None
        if not fresh:
            # No new writable mapping can be made of what is sealed: other memory takes its place.
            assert self._map is not None
            self._map.close()
            os.close(self.fd)
            self.fd = os.memfd_create("conformance", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        self._map = mmap.mmap(self.fd, size)
        fcntl.fcntl(self.fd, _F_ADD_SEALS, _F_SEAL_FUTURE_WRITE)
        self._size = size
        return fresh

    def put(self, pieces: Sequence[bytes], *, exact: bool) -> list[int]:
        """Write `pieces` one after the other: where each begins. `exact`: the file ends where they end."""
        total = sum(map(len, pieces))
        assert self._map is not None
        wanted = total if exact else len(self._map)
        if wanted != self._size:
            os.ftruncate(self.fd, wanted)
            self._size = wanted
        places, at = [], 0
        for piece in pieces:
            if piece:
                self._map[at : at + len(piece)] = piece
            places.append(at)
            at += len(piece)
        return places

    def close(self) -> None:
        """Give it back."""
        if self._map is not None:
            self._map.close()
        os.close(self.fd)


class Caged:
    """One process. Use `run`; after Died it is closed."""

    def __init__(self, subject: Subject, memory: Memory, world: Mapping[str, Any]) -> None:
        self._subject = subject
        self._memory = memory
        self._buffer = bytearray()
        self.printed = 0
        self.cases = 0
        cage = subject.cage()
        granted = subject.open_grants()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        image_fd = os.open(f"/proc/self/fd/{memory.fd}", os.O_RDONLY | os.O_CLOEXEC)
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        scratch = subject.scratch()
        try:
            self._process = sandbox.start(
                cage,
                sandbox.PythonRuntime(ENTRY),
                channel=theirs.fileno(),
                keep=[fd for fd, _ in granted.values()],
                readable=[image_fd],
                writable=scratch.fds if scratch is not None else [],
                stdout=write_end,
                stderr=write_end,
            )
        except BaseException:
            ours.close()
            os.close(read_end)
            raise
        finally:
            theirs.close()
            os.close(write_end)
            os.close(image_fd)
            for fd, _ in granted.values():
                os.close(fd)
        self._channel, self._pipe = ours, read_end
        self._poll = select.poll()
        for fd in (ours.fileno(), read_end, self._process.fileno()):
            self._poll.register(fd, select.POLLIN)
        try:
            kind, payload = self._frame()
            if kind != 1:
                raise NotRun(f"{subject.spec.name}: the cage did not begin with its report")
            sandbox.confirm(payload, cage)
            self._send(
                {
                    "use": msgspec.to_builtins(subject.code.target),
                    "config": subject.spec.config,
                    "texts": subject.spec.texts,
                    "name": subject.spec.name,
                    "log_level": 20,
                    "grants": {name: {"fd": fd, "kind": kind} for name, (fd, kind) in granted.items()},
                    "scratch": {"fds": list(scratch.fds), "bytes": scratch.size} if scratch is not None else None,
                    "image_fd": image_fd,
                    "world": dict(world),
                }
            )
            told = self._answer(subject.spec.start)
        except BaseException:
            self.close()
            raise
        if not told.get("ok"):
            self.close()
            raise Unusable(told)
        self.found: dict[str, Any] = told["found"]
        described = told["described"]
        subject.described = Described(
            described["kind"], described["reads"], described["class"], described["parameters"]
        )

    # frames

    def _more(self, until: float) -> None:
        """Read what there is; raises Died when there is nothing for too long, or nobody."""
        left = until - time.monotonic()
        if left <= 0:
            raise Died(hangs=True)
        for fd, _ in self._poll.poll(max(1, round(left * 1000))):
            if fd == self._pipe:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(fd, 1 << 16)
                    self.printed += len(data)
                    if not data:
                        self._poll.unregister(fd)
            elif fd == self._channel.fileno():
                try:
                    data = self._channel.recv(1 << 20)
                except ConnectionResetError:
                    data = b""
                if not data:
                    raise Died(hangs=False, how=self._ended())
                self._buffer += data
                if len(self._buffer) > MOST_ANSWER:
                    raise Died(hangs=False, how="it answers without end")
            elif not self._channel_has_more():
                raise Died(hangs=False, how=self._ended())

    def _channel_has_more(self) -> bool:
        return bool(select.select([self._channel], [], [], 0)[0])

    def _ended(self) -> str:
        try:
            code = self._process.wait(2.0)
        except TimeoutError:
            return "it closed its channel"
        return f"the process ended with status {code}" if code >= 0 else f"the process was ended by signal {-code}"

    def _take(self, size: int, until: float) -> bytes:
        while len(self._buffer) < size:
            self._more(until)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _frame(self) -> tuple[int, bytes]:
        until = time.monotonic() + START_SECONDS
        header = self._take(8, until)
        return int.from_bytes(header[:4], "little"), self._take(int.from_bytes(header[4:], "little"), until)

    def _answer(self, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        size = int.from_bytes(self._take(4, until), "little")
        told = json.loads(self._take(size, until))
        if not isinstance(told, dict):
            raise Died(hangs=False, how="it answered in another form")
        return told

    def _send(self, value: Any) -> None:
        data = marshal.dumps(value, 2)
        try:
            self._channel.sendall(len(data).to_bytes(4, "little") + data)
        except (BrokenPipeError, ConnectionResetError):
            raise Died(hangs=False, how=self._ended()) from None

    def run(self, cases: Sequence[Case], *, reload: bool, seconds: float) -> Iterator[dict[str, Any]]:
        """What the driver says of each of `cases`, in order. Raises Died in place of an answer."""
        exact = self._subject.described.reads == "random"
        places = self._memory.put([case.data for case in cases], exact=exact)
        self._send([case.order(place, reload) for case, place in zip(cases, places, strict=True)])
        for case in cases:
            before = self.printed
            told = self._answer(seconds)
            told["printed"] = int(told.get("printed", 0)) + self.printed - before
            if told.get("id") != case.number:
                raise Died(hangs=False, how="it answered for another case")
            self.cases += 1
            yield told

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._channel.close()
        os.close(self._pipe)


class Runner:
    """Runs cases, with as many cages as that takes. Counts what was done."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._memory = Memory()
        self._caged: Caged | None = None
        self.world: dict[str, Any] = {}
        self.reload = False
        self.cages = 0
        self.ran = 0
        self.found: dict[str, Any] = {}
        self.hung = 0
        self.dead = 0
        self.overflows = 0
        self.slow = 0
        self.recent: collections.deque[tuple[Case, Outcome]] = collections.deque(maxlen=64)
        """The last outcomes, those included that `run` could not return because it gave up."""

        self.deadline: float | None = None  # time.monotonic()

    def start(self) -> None:
        """Start a cage if there is none. Raises Unusable, Died, SandboxError, DouaneError."""
        if self._caged is None:
            self._caged = Caged(self._subject, self._memory, self.world)
            self.cages += 1
            self.found = self.found or self._caged.found

    def fresh(self, world: Mapping[str, Any] | None = None) -> None:
        """The next case runs in a cage of its own process."""
        if self._caged is not None:
            self._caged.close()
            self._caged = None
        if world is not None:
            self.world = dict(world)

    def run(self, cases: Sequence[Case], *, seconds: float | None = None) -> list[Outcome]:
        """The outcomes of `cases`, in order. Raises GaveUp."""
        outcomes: list[Outcome] = []
        if seconds is None:
            seconds = CASE_SECONDS if not self.hung else HUNG_SECONDS
        while len(outcomes) < len(cases):
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise GaveUp("the time for all checks is over; what was left out was not checked")
            outcomes += self._batch(cases[len(outcomes) :], seconds)
        return outcomes

    def one(self, case: Case, *, seconds: float | None = None) -> Outcome:
        """The outcome of one case."""
        return self.run([case], seconds=seconds)[0]

    def _batch(self, cases: Sequence[Case], seconds: float) -> list[Outcome]:
        described = self._subject.described
        single = described.reads == "random" or self._subject.has_sockets
        chosen: list[Case] = []
        total = 0
        for case in cases:
            if chosen and (single or len(chosen) >= BATCH or total + len(case.data) > BATCH_BYTES):
                break
            chosen.append(case)
            total += len(case.data)
        if not self._memory.reserve(max(total, 1)) or self._subject.has_sockets:
            self.fresh()
        self.start()
        assert self._caged is not None
        done: list[Outcome] = []
        try:
            for told in self._caged.run(chosen, reload=self.reload, seconds=seconds):
                self.ran += 1
                done.append(Outcome(str(told.get("outcome")), told))
                self.recent.append((chosen[len(done) - 1], done[-1]))
                self.overflows += "too-much-output" in told.get("events", ())
                size = len(chosen[len(done) - 1].data)
                self.slow += size <= SMALL and float(told.get("wall", 0.0)) > SLOW_SECONDS
                if self.slow > MOST_SLOW:
                    raise GaveUp(OFTEN)
            if self.overflows > MOST_OVERFLOWS:
                raise GaveUp(OFTEN)
        except Died as died:
            self.ran += 1
            self.fresh()
            lost = Outcome("hangs" if died.hangs else "died", {"message": died.how, "seconds": seconds})
            self.recent.append((chosen[len(done)], lost))
            self.hung += died.hangs
            self.dead += 1
            if self.hung > MOST_HUNG or self.dead > MOST_DEAD:
                raise GaveUp(OFTEN) from None
            done.append(lost)
        return done

    def close(self) -> None:
        """End what runs."""
        self.fresh()
        self._memory.close()
