"""A plugin that speaks the wire: a Python class run by `douane_plugin._runtime`, or a program in another language."""

from __future__ import annotations

import functools
import os

import msgspec

from douane import sandbox
from douane.errors import GrantUnavailable, PlanError
from douane.plan.builtin import BUILT_IN
from douane.plan.code import ExecProgram
from douane.plan.resolve import ResolvedPlugin
from douane.plan.source_scan import kind_of
from douane.report import Warned
from douane.stream.channel_reader import ChannelReader
from douane.stream.ring import Ring
from douane.stream.temp_files import ScratchFiles
from douane_plugin import wire

from . import decoding, messages
from .advice import advise, not_advice, with_advice
from .base import Supplies
from .broker import Broker
from .conversation import LEVELS, Conversation, Phase, Unusable, check_level, judge_failure
from .events import PluginReady, TransformDecided
from .failure import describe_exit
from .frames import pack
from .handover import Handover, handover, make_broker
from .log import LogLine
from .loop import Loop
from .messages import Violation
from .pipes import open_large_pipe
from .plugin_process import SandboxedPlugin
from .policy import BadProperties, check_documents, check_properties, check_proposed, clean

RUNTIME = "douane_plugin._runtime:main"


class PythonPlugin(SandboxedPlugin):
    """A Python class. See :class:`.base.PluginProcess`."""

    UNLOADED = "it cannot be imported"

    def __init__(self, plugin: ResolvedPlugin, sandbox_spec: sandbox.SandboxSpec, loop: Loop, emit: LogLine) -> None:
        super().__init__(plugin, sandbox_spec, loop, emit)
        self.misjudged = False
        self.error: PlanError | None = None
        self._conversation = Conversation()
        self._answer: messages.Answer | None = None
        self._reader: ChannelReader | None = None
        self._broker: Broker | None = None

    # start

    def start(self, supplies: Supplies) -> None:
        """See PluginProcess."""
        if self._broker is not None:  # a process of an earlier image has just been replaced
            self._broker.close()
        self._broker = make_broker(self.spec)
        try:
            with handover(self.spec, supplies, self._broker, needs_file=self.needs == "file") as handed:
                frame = self._begin(handed, supplies)
        except GrantUnavailable as error:
            self.fail("failed", error.code, "could not reach a service that it needs", str(error))
            return
        finally:
            if self._broker is not None:
                self._broker.close_handed()
        self._process.send(frame)

    def _begin(self, handed: Handover, supplies: Supplies) -> bytes:
        """Start the process, and return the frame to send when this process's copies of the descriptors are closed."""
        return pack(wire.LOAD, self._spawn_with(handed, supplies.log_level))

    def _spawn_with(self, handed: Handover, log_level: int) -> messages.Load:
        """Start the process and return the LOAD message for it."""
        scratch = self._open_scratch()
        output_fd = None
        if self.is_transform:
            self.output, output_fd = open_large_pipe()
        output = [output_fd] if output_fd is not None else []
        calls = self._broker.calls if self._broker is not None else None
        readable = [handed.image_fd] if handed.image_fd is not None else []
        try:
            writable = scratch.fds if scratch is not None else []
            self._spawn(self._code(), handed.fds() + output, readable, writable, calls=calls, grants=handed.grants)
        finally:
            for fd in output:
                os.close(fd)
        target = self.plugin.code.target
        assert not isinstance(target, ExecProgram)
        return messages.Load(
            levels=(LEVELS.start, LEVELS.stop - 1),
            name=self.spec.name,
            log_level=log_level,
            use=target,
            config=self.spec.config,
            texts=self.spec.texts,
            grants=handed.grants.sent,
            rings=handed.rings,
            image_fd=handed.image_fd,
            output_fd=output_fd,
            scratch=scratch,
        )

    def _code(self) -> sandbox.PythonRuntime | sandbox.Program:
        return sandbox.PythonRuntime(RUNTIME)

    def _open_scratch(self) -> messages.SentScratch | None:
        if self.spec.scratch is None:
            return None
        self._scratch = ScratchFiles(self.spec.scratch)
        return messages.SentScratch(list(self._scratch.fds), self.spec.scratch)

    def send_image(self, facts: messages.ImageFacts, ring: Ring | None) -> None:
        """See PluginProcess."""
        self._process.send(pack(wire.IMAGE, facts))
        self._conversation.phase = Phase.RUNNING
        self._start_image()
        if ring is None or (channel := self._process.socket) is None:
            return
        self._reader = ChannelReader(
            ring,
            channel,
            limit=self.described.limit if self.described is not None else None,
            essential=self.spec.mode != "audit",
            overran=self._post_overrun,
        )
        self._attach(functools.partial(ring.attach, self._reader))

    # frames

    def _on_frame(self, kind: int, payload: bytes) -> None:
        self._conversation.check(kind, is_transform=self.is_transform)
        if kind in (wire.RELEASE, wire.PROGRESS):
            self._on_offset(kind, decoding.decode_offset(kind, payload))
        elif kind == wire.LOG:
            line = decoding.decode(kind, payload, messages.Logged)
            self._log.line(line.bounded_level, line.message)
            self._signs_of_life += 1
        elif kind == wire.ALIVE:
            self._signs_of_life += 1
            is_configuring = self._conversation.phase is Phase.CONFIGURING
            # A process that serves several images may have to be replaced before it is ready.
            self.has_settings |= is_configuring and self.needs == "files" and self.spec.reuse == 1
        elif kind == wire.DESCRIBED:
            self._on_described(decoding.decode_description(payload))
        elif kind == wire.READY:
            self._conversation.phase = Phase.READY
            self.ready = True
            self._loop.post(PluginReady(self.spec.name, self.needs, self.misjudged, self.reads_findings))
        elif kind == wire.FAILED:
            self._on_failed(decoding.decode(kind, payload, messages.Failed))
        elif kind == wire.WARN:
            self._on_warn(decoding.decode(kind, payload, messages.Warn))
        elif kind == wire.BECOMES:
            self.becomes.update(decoding.decode(kind, payload, messages.Becomes).formats())
        elif kind in (wire.BEGIN, wire.UNCHANGED):
            self._decide(unchanged=kind == wire.UNCHANGED)
        else:
            self._on_answer(decoding.decode_answer(kind, payload))

    def _on_offset(self, kind: int, offset: int) -> None:
        reader = self._reader
        if reader is None:
            raise Violation("it released bytes before it was sent any")
        is_true = reader.released_to(offset) if kind == wire.RELEASE else reader.reached(offset)
        if not is_true:
            raise Violation(f"it released bytes up to {offset}; it had been sent {reader.sent}")

    def _on_described(self, described: messages.Described) -> None:
        if (unusable := check_level(described)) is not None:
            self._cannot_be_used(unusable)
            return
        kind = kind_of(described.is_transform, described.reads)
        self.misjudged = kind != self.plugin.kind
        self.described, self.is_transform, self.needs = described, described.is_transform, described.needs
        self._conversation.phase = Phase.CONFIGURING

    def _on_failed(self, failed: messages.Failed) -> None:
        advice = advise(failed.cause, self._view())
        is_builtin = self.spec.use in BUILT_IN
        judged = judge_failure(failed, self._conversation.phase, self.UNLOADED, advice, is_builtin=is_builtin)
        if isinstance(judged, Unusable):
            self._cannot_be_used(judged)
        else:
            self.fail(judged.outcome, judged.code, judged.message, judged.detail)

    def _cannot_be_used(self, unusable: Unusable) -> None:
        """The plugin cannot be used as it is configured: no image is read."""
        self.error = PlanError(f"plugin {self.spec.name!r} ({self.spec.use}): {unusable.reason}")
        if unusable.trace:
            self.error.add_note(unusable.trace)
        self.fail("failed", "plugin-unusable", "cannot be used as it is configured", unusable.reason)

    def _on_warn(self, warning: messages.Warn) -> None:
        if len(self._warnings) >= wire.MAX_WARNINGS:
            raise Violation(f"it gave more than {wire.MAX_WARNINGS} warnings")
        self._warnings.append(Warned(decoding.valid_code(warning.code), clean(warning.message)))

    def _decide(self, *, unchanged: bool) -> None:
        self._conversation.decide(unchanged=unchanged)
        self._loop.post(TransformDecided(self.spec.name, unchanged, dict(self.becomes)))

    def force_decision(self) -> None:
        """See PluginProcess."""
        self._conversation.force()

    # the answer

    def _on_answer(self, answer: messages.Answer) -> None:
        try:
            documents = check_documents(answer.documents)
            if answer.outcome != "accepted":
                self._conversation.phase = Phase.ANSWERED
                self._conclude(answer)  # a refusal need not wait for the process to end
                return
            self._answer = msgspec.structs.replace(
                answer,
                documents=documents,
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

    def _conclude(self, answer: messages.Answer) -> None:
        if answer.outcome == "accepted" and self._process.has_partial_frame():
            self._fail_protocol("it answered, and then sent a part of a frame")
            return
        seen = answer.seen if answer.seen is not None else self._position()
        if self._reader is not None:
            seen = min(seen, self._reader.sent)
            self._looked_until = self._reader.sent if answer.looked_at_unread else None
        self._finish(
            answer.outcome,
            answer.code,
            answer.message,
            retry_after=answer.retry_after,
            properties=answer.properties,
            proposed=answer.proposed,
            documents=answer.documents,
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
            end = f"{describe_exit(code)} while it was being loaded{self._last_words()}"
            advice = self._advice_on_output()
            self._cannot_be_used(Unusable(f"{self.UNLOADED}: {end}{f'. {advice}' if advice else ''}"))
        else:
            words = with_advice("", self._advice_on_output(), begin=describe_exit(code))
            self.fail("failed", "plugin-died", "ended without an answer", words)

    def _last_words(self) -> str:
        """What a process that ended before it was loaded wrote about the reason."""
        self._log.close()
        words = not_advice(self._log.reason())
        return f": {words:.300}" if words else ""

    def _on_lingering(self) -> None:
        if self._answer is None:
            self.fail("failed", "plugin-protocol", "closed its channel without an answer")
        else:
            super()._on_lingering()

    def end(self) -> None:
        """See PluginProcess."""
        super().end()
        if self._broker is not None:
            self._broker.close()

    def release(self) -> None:
        """See PluginProcess."""
        super().release()
        if self._reader is not None:
            self._reader.detach()

    # overrides

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
        if self._answer is not None:
            return False
        return reader is None or reader.ended or reader.consumed < reader.sent or reader.holds_ring

    def _is_clogged(self) -> bool:
        return self._reader is not None and self._reader.clogged


class FilesReader(PythonPlugin):
    """The reader of files: its output shows its progress, though it reads at random."""

    def _can_stall(self) -> bool:
        return True


class WirePlugin(PythonPlugin):
    """A program that speaks the wire itself, see docs/wire.md. Only the process at the other end is not Python."""

    UNLOADED = "it cannot be used"

    def _code(self) -> sandbox.Program:
        """The launcher executes the program in place of itself, when the sandbox is closed."""
        return sandbox.Program(self.plugin.code.argv, speaks=True)
