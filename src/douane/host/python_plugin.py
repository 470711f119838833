"""A plugin that speaks the wire: a Python class run by `douane_plugin._runtime`, or a program in another language."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
from collections.abc import Callable

import msgspec

from douane import sandbox
from douane.errors import GrantUnavailable, PlanError
from douane.plan.grants import open_grant
from douane.plan.resolved_plan import ResolvedPlugin
from douane.report import Warned
from douane.stream.channel_reader import ChannelReader
from douane.stream.ring import Ring
from douane.stream.temp_files import ScratchFiles
from douane.units import MiB
from douane_plugin import API_LEVEL, wire

from .base import Needs, Supplies
from .conversation import Conversation, Phase
from .events import PluginReady, TransformDecided
from .failure import describe_exit
from .frames import pack
from .log import LogLine
from .loop import Loop
from .messages import (
    MAX_TRACE,
    Answer,
    Becomes,
    Failed,
    ImageFacts,
    Load,
    Logged,
    SentGrant,
    SentRing,
    SentScratch,
    Violation,
    Warn,
    decode,
    decode_answer,
    decode_description,
    decode_offset,
    valid_code,
)
from .plugin_process import SandboxedPlugin
from .policy import BadProperties, check_properties, check_proposed, clean

LEVELS = range(1, API_LEVEL + 1)
RUNTIME = "douane_plugin._runtime:main"
CONFIGURATION_ERRORS = ("SettingError", "LoadError", "ValueError", "TypeError")
"""What a constructor raises to say that its configuration is wrong; anything else is a failure of the plugin."""


class PythonPlugin(SandboxedPlugin):
    """A Python class. See :class:`.base.PluginProcess`."""

    UNLOADED = "it cannot be imported"

    def __init__(self, plugin: ResolvedPlugin, cage: sandbox.Cage, loop: Loop, emit: LogLine) -> None:
        super().__init__(plugin, cage, loop, emit)
        self.misjudged = False
        self.error: PlanError | None = None
        self._conversation = Conversation()
        self._answer: Answer | None = None
        self._reader: ChannelReader | None = None

    # start

    def start(self, supplies: Supplies) -> None:
        """See PluginProcess."""
        with contextlib.ExitStack() as closing:

            def own(fd: int) -> int:
                closing.callback(os.close, fd)
                return fd

            try:
                grants = self._open_grants(own)
            except GrantUnavailable as error:
                self.fail("failed", error.code, "could not reach a service that it needs", str(error))
                return
            image_fd = own(supplies.open_file()) if self.needs == "file" else None
            # Each plugin has its own open file: the offset of a shared one would be a channel between plugins.
            rings = [
                SentRing(own(os.open(f"/proc/self/fd/{ring.fd}", os.O_RDONLY | os.O_CLOEXEC)), ring.slot_bytes)
                for ring in supplies.rings
            ]
            output_fd = own(self._open_output()) if self.is_transform else None
            scratch = self._open_scratch()
            keep = [ring.fd for ring in rings] + [grant.fd for grant in grants.values()]
            keep += [fd for fd in (output_fd, image_fd) if fd is not None]
            readable = [image_fd] if image_fd is not None else []
            self._spawn(self._code(), keep, readable, scratch.fds if scratch is not None else [])
        load = Load(
            levels=(LEVELS.start, LEVELS.stop - 1),
            name=self.spec.name,
            log_level=supplies.log_level,
            use=self.plugin.code.load,
            config=self.spec.config,
            texts=self.spec.texts,
            grants=grants,
            rings=rings,
            image_fd=image_fd,
            output_fd=output_fd,
            scratch=scratch,
        )
        self._send(pack(wire.LOAD, load))

    def _code(self) -> sandbox.PythonRuntime | sandbox.Program:
        return sandbox.PythonRuntime(RUNTIME)

    def _open_grants(self, own: Callable[[int], int]) -> dict[str, SentGrant]:
        grants = {}
        for name, target in self.spec.grants.items():
            fd, kind = open_grant(self.spec.name, name, target, self.spec.base)
            grants[name] = SentGrant(own(fd), kind)
        return grants

    def _open_output(self) -> int:
        self.output, output = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # over the user's limit for pipes: slower, not wrong
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, MiB)
        return output

    def _open_scratch(self) -> SentScratch | None:
        if self.spec.scratch is None:
            return None
        self._scratch = ScratchFiles(self.spec.scratch)
        return SentScratch(list(self._scratch.fds), self.spec.scratch)

    def send_image(self, facts: ImageFacts, ring: Ring | None) -> None:
        """See PluginProcess."""
        self._send(pack(wire.IMAGE, facts))
        self._conversation.phase = Phase.RUNNING
        self._start_image()
        if ring is None or self._channel is None:
            return
        limit = None
        if self.reads.startswith("head:"):
            limit = int(self.reads[5:])
        elif self.needs == "nothing":
            limit = 0
        self._reader = ChannelReader(
            ring,
            self._channel.socket,
            limit=limit,
            essential=self.spec.mode != "audit",
            overran=self._post_overrun,
        )
        self._attach(functools.partial(ring.attach, self._reader))

    # frames

    def _on_frame(self, kind: int, payload: bytes) -> None:
        self._conversation.check(kind, is_transform=self.is_transform)
        if kind in (wire.RELEASE, wire.PROGRESS):
            self._on_offset(kind, decode_offset(kind, payload))
        elif kind == wire.LOG:
            line = decode(kind, payload, Logged)
            self._log.line(line.level if isinstance(line.level, int) else 20, line.message)
            self._signs_of_life += 1
        elif kind == wire.ALIVE:
            self._signs_of_life += 1
        elif kind == wire.DESCRIBED:
            self._on_described(payload)
        elif kind == wire.READY:
            self._conversation.phase = Phase.READY
            self.ready = True
            self._loop.post(PluginReady(self.spec.name, self.needs, self.misjudged))
        elif kind == wire.FAILED:
            self._on_failed(decode(kind, payload, Failed))
        elif kind == wire.WARN:
            self._on_warn(decode(kind, payload, Warn))
        elif kind == wire.BECOMES:
            self._on_becomes(decode(kind, payload, Becomes))
        elif kind in (wire.BEGIN, wire.UNCHANGED):
            self._decide(unchanged=kind == wire.UNCHANGED)
        else:
            self._on_answer(decode_answer(kind, payload))

    def _on_offset(self, kind: int, offset: int) -> None:
        reader = self._reader
        if reader is None:
            raise Violation("it let go of bytes that it was not sent")
        is_true = reader.released_to(offset) if kind == wire.RELEASE else reader.reached(offset)
        if not is_true:
            raise Violation(f"it let go of the bytes up to {offset}; it had been sent {reader.sent}")

    def _on_described(self, payload: bytes) -> None:
        described = decode_description(payload)
        if described.api not in LEVELS:
            self._cannot_be_used(
                f"it is written for contract level {described.api}, and this Douane knows "
                f"{LEVELS.start} to {LEVELS.stop - 1}; upgrade Douane, or use an older release of the plugin"
            )
            return
        needs = _needs(described.reads)
        self.misjudged = described.is_transform != self.is_transform or (needs == "file") != (self.needs == "file")
        self.described, self.is_transform, self.needs = described, described.is_transform, needs
        self._conversation.phase = Phase.CONFIGURING

    def _on_failed(self, failed: Failed) -> None:
        kind, message = clean(failed.kind, 100), clean(failed.message)
        trace = failed.trace[-MAX_TRACE:] if isinstance(failed.trace, str) else ""
        phase = self._conversation.phase
        at_load = phase is Phase.LOADING or failed.stage == "load"
        if phase is not Phase.RUNNING and (at_load or kind in CONFIGURATION_ERRORS):
            if kind in ("SettingError", "LoadError"):
                self._cannot_be_used(message)
            elif at_load:
                self._cannot_be_used(f"{self.UNLOADED}: {kind}: {message}", trace)
            else:
                self._cannot_be_used(f"its configuration is refused: {message}", trace)
        elif kind == "MemoryError":
            self.fail("failed", "plugin-memory", "ran out of its memory", trace)
        else:
            what = "failed; that is a fault of the check, not of the image"
            self.fail("failed", "plugin-error", what, trace or f"{kind}: {message}")

    def _cannot_be_used(self, reason: str, trace: str | None = None) -> None:
        """The plugin cannot be used as it is configured: no image is read."""
        self.error = PlanError(f"plugin {self.spec.name!r} ({self.spec.use}): {reason}")
        if trace:
            self.error.add_note(trace)
        self.fail("failed", "plugin-unusable", "cannot be used as it is configured", reason)

    def _on_warn(self, warning: Warn) -> None:
        if len(self._warnings) >= wire.MAX_WARNINGS:
            raise Violation(f"it gave more than {wire.MAX_WARNINGS} warnings")
        self._warnings.append(Warned(valid_code(warning.code), clean(warning.message)))

    def _on_becomes(self, becomes: Becomes) -> None:
        for key in ("disk_format", "container_format"):
            value = getattr(becomes, key)
            if isinstance(value, str):
                self.becomes[key] = value

    def _decide(self, *, unchanged: bool) -> None:
        self._conversation.decide(unchanged=unchanged)
        self._loop.post(TransformDecided(self.spec.name, unchanged, dict(self.becomes)))

    def force_decision(self) -> None:
        """See PluginProcess."""
        self._conversation.force()

    # the answer

    def _on_answer(self, answer: Answer) -> None:
        if answer.outcome != "accepted":
            self._conversation.phase = Phase.ANSWERED
            self._conclude(answer)  # a refusal need not wait for the process to end
            return
        try:
            self._answer = msgspec.structs.replace(
                answer,
                properties=check_properties(self.spec.name, answer.properties),
                proposed=check_proposed(self.spec, answer.proposed),
            )
        except BadProperties as error:
            self.fail("failed", "plugin-properties", "returned properties that it may not set", str(error))
            return
        if self.is_transform and not self._conversation.decided:
            self._decide(unchanged=False)  # it ended without output: the new image is empty
        self._conversation.phase = Phase.ANSWERED
        self._stopwatch.stop()
        if self._reader is not None:
            self._reader.detach()
        self._expect_end()

    def _conclude(self, answer: Answer) -> None:
        seen = answer.seen if answer.seen is not None else self._position()
        if self._reader is not None:
            seen = min(seen, self._reader.sent)
        self._finish(
            answer.outcome,
            answer.code,
            answer.message,
            retry_after=answer.retry_after,
            properties=answer.properties,
            proposed=answer.proposed,
            bytes_seen=seen,
        )

    def _on_closed(self) -> None:
        if self._answer is not None:
            self._conclude(self._answer)
        else:
            self._expect_end()

    def _on_exit(self, code: int) -> None:
        if self._answer is not None:
            self._conclude(self._answer)
        elif self._conversation.phase is Phase.LOADING:
            self._cannot_be_used(
                f"{self.UNLOADED}: {describe_exit(code)} while it was being loaded{self._last_words()}"
            )
        else:
            self.fail("failed", "plugin-died", "ended without an answer", describe_exit(code))

    def _last_words(self) -> str:
        """What the process printed before it ended unloaded."""
        return ""

    def _on_lingering(self) -> None:
        if self._answer is None:
            self.fail("failed", "plugin-protocol", "closed its channel without an answer")
        else:
            super()._on_lingering()

    def end(self) -> None:
        """See PluginProcess."""
        super().end()
        if self._reader is not None:
            self._reader.detach()

    # what the base asks

    @property
    def reads(self) -> str:
        """See PluginProcess."""
        return self.described.reads if self.described is not None else "stream"

    def _position(self) -> int:
        return self._reader.consumed if self._reader is not None else 0

    def caught_up(self) -> bool:
        """See PluginProcess."""
        return self._reader is not None and self._reader.consumed >= self._reader.sent

    def _is_busy(self) -> bool:
        reader = self._reader
        return self._answer is None and (reader is None or reader.ended or reader.consumed < reader.sent)

    def _is_clogged(self) -> bool:
        return self._reader is not None and self._reader.clogged


def _needs(reads: str) -> Needs:
    if reads == "random":
        return "file"
    if reads in ("findings", "nothing"):
        return "findings" if reads == "findings" else "nothing"
    return "bytes"


class WirePlugin(PythonPlugin):
    """A program that speaks the wire itself, see docs/wire.md. Only the process at the other end is not Python."""

    UNLOADED = "it cannot be used"

    def _code(self) -> sandbox.Program:
        """The launcher executes the program in place of itself, when the sandbox is closed."""
        return sandbox.Program(self.plugin.code.argv, speaks=True)

    def _last_words(self) -> str:
        """A program that does not run says why on standard error."""
        self._log.close()
        words = clean(self._log.first_line.get("stderr"))
        return f": {words:.300}" if words else ""
