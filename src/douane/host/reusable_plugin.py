"""A plugin that speaks the wire, and whose process may serve several images, one after the other (`reuse`).

The process of an earlier image is taken from the pool of this thread, with new descriptors; if there is none, or it
cannot be made ready, a new one is started. After an answer of its own, it goes back to the pool.
"""

from __future__ import annotations

import functools
import os

import msgspec

from douane import sandbox
from douane.plan.resolve import ResolvedPlugin
from douane.report import PluginOutcome
from douane.units import number_of
from douane_plugin import wire

from . import messages
from .base import Supplies
from .conversation import Conversation, Phase, Unusable
from .frames import pack
from .handover import Handover, OpenGrants
from .limits import Limits
from .log import WARNING, LogLine
from .loop import Loop
from .messages import Violation
from .parked_process import ParkedProcess
from .pool import PoolKey
from .python_plugin import PythonPlugin, WirePlugin
from .sandboxed_process import SandboxedProcess

_REUSED_AFTER = ("accepted", "refused", "incomplete")
"""Answers about the image. Not `deferred`: the plugin lacks something, which a new process may find."""


class ReusablePlugin(PythonPlugin):
    """See :class:`.base.PluginProcess`."""

    def __init__(self, plugin: ResolvedPlugin, sandbox_spec: sandbox.SandboxSpec, loop: Loop, emit: LogLine) -> None:
        super().__init__(plugin, sandbox_spec, loop, emit)
        self._supplies: Supplies | None = None
        self._key: PoolKey | None = None
        self._loaded: sandbox.Usage | None = None
        self._is_idle = False
        self._answered: str | None = None
        self._parked_bytes = 0

    # start

    def start(self, supplies: Supplies) -> None:
        """See PluginProcess."""
        self._supplies = supplies
        super().start(supplies)

    def _begin(self, handed: Handover, supplies: Supplies) -> bytes:
        if supplies.pool is None or supplies.plan is None:
            return super()._begin(handed, supplies)
        self._key = PoolKey(supplies.plan, self.plugin, self._sandbox_spec.tier, _identities(handed.grants))
        parked = supplies.pool.take(self._key)
        if parked is not None and self._resume(parked, handed, supplies.log_level):
            return b""
        return pack(wire.LOAD, msgspec.structs.replace(self._spawn_with(handed, supplies.log_level), reuse=True))

    def _resume(self, parked: ParkedProcess, handed: Handover, log_level: int) -> bool:
        """Send the process the descriptors for another image; False if it is gone."""
        fds = handed.fds()
        sandbox.check_grants(fds)
        index = {fd: number for number, fd in enumerate(fds)}
        frame = messages.Next(
            log_level,
            {name: _with_indexes(grant, index) for name, grant in handed.grants.sent.items()},
            [msgspec.structs.replace(ring, fd=index[ring.fd]) for ring in handed.rings],
        )
        try:
            parked.channel.send_with_descriptors(pack(wire.NEXT, frame), fds)
        except OSError:
            parked.end()
            return False
        self.earlier_images, self._loaded, self._scratch = parked.served, parked.loaded, parked.scratch
        self.described, self.needs, self._grants = parked.described, parked.described.needs, handed.grants
        self._is_sandboxed = True
        self._conversation.phase = Phase.CONFIGURING
        on_end = functools.partial(self._on_process_end, self._process)
        self._process.adopt(parked.process, parked.channel, parked.pipes, on_channel=self._on_channel, on_end=on_end)
        return True

    # a process of an earlier image that does not become ready

    @property
    def _is_resuming(self) -> bool:
        return self.earlier_images > 0 and not self.ready and self.verdict is None

    def fail(self, outcome: PluginOutcome, code: str, message: str, detail: str | None = None) -> None:
        """See PluginProcess. A process that was ready once, and cannot be made ready again, fails no image."""
        if self._is_resuming:
            self._start_anew(f"{message}: {detail}" if detail else message)
        else:
            super().fail(outcome, code, message, detail)

    def _cannot_be_used(self, unusable: Unusable) -> None:
        if self._is_resuming:
            self._start_anew(unusable.reason)
        else:
            super()._cannot_be_used(unusable)

    def _start_anew(self, reason: str) -> None:
        assert self._supplies is not None
        self._log.line(
            WARNING,
            f"its process, which has served {number_of(self.earlier_images, 'image')}, serves no further one, and "
            f"a new one is started: {reason}",
        )
        self._process.end()
        super().release()
        self._scratch = None
        self._process = SandboxedProcess(self._sandbox_spec, self._loop, self._log)
        self._conversation, self._limits = Conversation(), Limits(self.spec)
        self._is_sandboxed, self._lingers, self._loaded = False, None, None
        self.described, self.earlier_images = None, 0
        super().start(self._supplies)

    # the answer, and after it

    def _on_frame(self, kind: int, payload: bytes) -> None:
        if kind == wire.IDLE:
            self._on_idle()
            return
        super()._on_frame(kind, payload)
        if kind == wire.READY and self._loaded is None and self._key is not None:
            self._loaded = self._process.usage()

    def _on_idle(self) -> None:
        can_wait = self._key is not None and self.described is not None and self.described.reuse
        if not can_wait or self._conversation.phase is not Phase.ANSWERED or self._answer is None:
            raise Violation("it sent IDLE, which it may send after its answer only, and if it was asked to wait")
        self._is_idle = True
        self._conclude(self._answer)

    def _conclude(self, answer: messages.Answer) -> None:
        self._answered = answer.outcome
        super()._conclude(answer)

    def end(self) -> None:
        """See PluginProcess. A process that has answered goes to the pool."""
        if self._may_serve_again():
            self._park()
        super().end()

    def _may_serve_again(self) -> bool:
        return (
            self._process.is_running
            and self._key is not None
            and self._loaded is not None
            and self.described is not None
            and self.described.reuse
            and self.verdict is not None
            and self.verdict.outcome == self._answered
            and self._answered in _REUSED_AFTER
            and (self._is_idle or self._answered != "accepted")  # an accept counts when the process is idle
        )

    def _park(self) -> None:
        pool = self._supplies.pool if self._supplies is not None else None
        assert pool is not None and self._key is not None and self._loaded is not None and self.described is not None
        if self._reader is not None:
            self._reader.detach()  # nothing is sent to the process any more
        self._parked_bytes = super().scratch_used()
        scratch, self._scratch = self._scratch, None
        pool.park(
            ParkedProcess(
                self._key,
                *self._process.give_up(),
                scratch,
                self.described,
                self._loaded,
                served=self.earlier_images + 1,
                is_idle=self._is_idle,
            )
        )

    def scratch_used(self) -> int:
        """See PluginProcess."""
        return super().scratch_used() or self._parked_bytes


class ReusableWirePlugin(ReusablePlugin, WirePlugin):
    """A program that speaks the wire, and may serve several images."""


def _with_indexes(grant: messages.SentGrant, index: dict[int, int]) -> messages.SentGrant:
    fd = index[grant.fd] if isinstance(grant.fd, int) else grant.fd
    control = index[grant.connect_fd] if grant.connect_fd is not None else None
    return msgspec.structs.replace(grant, fd=fd, connect_fd=control)


def _identities(grants: OpenGrants) -> tuple[tuple[object, ...], ...]:
    """What changes with the content of a granted file or folder, or when another takes its place."""
    files = [
        _identity(grant.fd) for grant in grants.sent.values() if grant.kind == "file" and isinstance(grant.fd, int)
    ]
    paths = [(granted.path, granted.device, granted.inode) for granted in grants.paths]
    return (*files, *paths, *grants.contents.items())


def _identity(fd: int) -> tuple[int, ...]:
    status = os.fstat(fd)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
