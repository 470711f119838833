"""The common part of all plugin processes: starting and ending the process, its channel, its log, its verdict.

Subclasses speak with the process: they implement the methods that raise NotImplementedError here.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

from douane import sandbox
from douane.plan.code import SourceFile
from douane.plan.path_grants import is_current
from douane.plan.resolve import ResolvedPlugin
from douane.report import PluginOutcome, Provenance, Verdict, Warned
from douane.stream.temp_files import ScratchFiles

from .advice import View, advise
from .clocks import Stopwatch
from .events import AuditorOverrun, PluginAnswered
from .failure import Failure
from .handover import OpenGrants
from .limits import Limits
from .log import LogLine, PluginLog
from .loop import Loop
from .messages import MAX_TRACE, Described, Needs, Violation, name_of
from .policy import clean_lines
from .program_output import find_cause
from .sandboxed_process import SandboxedProcess

END_SECONDS = 3.0
"""Seconds that a process has to exit after its answer, or after it closed its channel without one."""


class SandboxedPlugin:
    """See :class:`.base.PluginProcess`, whose common part this is."""

    def __init__(self, plugin: ResolvedPlugin, sandbox_spec: sandbox.SandboxSpec, loop: Loop, emit: LogLine) -> None:
        self.plugin = plugin
        self.spec = plugin.spec
        self.ready = self.has_settings = False
        self.described: Described | None = None
        self.is_transform = plugin.kind.is_transform
        self.needs: Needs = "file" if plugin.kind.reads_file else "files" if plugin.kind.reads_guest_files else "bytes"
        self.verdict: Verdict | None = None
        self.output: int | None = None
        self.becomes: dict[str, str] = {}
        self._grants = OpenGrants({}, (), {})
        self.earlier_images = 0
        self._warnings: list[Warned] = []
        self._loop = loop
        self._sandbox_spec = sandbox_spec
        self._log = PluginLog(self.spec.name, emit)
        self._limits = Limits(self.spec)
        self._stopwatch = Stopwatch()
        self._scratch: ScratchFiles | None = None
        self._process = SandboxedProcess(sandbox_spec, loop, self._log)
        self._is_sandboxed = False
        self._has_image = False
        self._looked_until: int | None = None
        self._signs_of_life = 0
        self._lingers: float | None = None

    # starting and ending the process

    def _spawn(
        self,
        code: sandbox.PythonRuntime | sandbox.Program,
        keep: Sequence[int] = (),
        readable: Sequence[int] = (),
        writable: Sequence[int] = (),
        stdin: int | None = None,
        calls: int | None = None,
        *,
        grants: OpenGrants,
    ) -> None:
        self._grants = grants
        on_end: Callable[[], None] = functools.partial(self._on_process_end, self._process)
        callbacks = {"on_channel": self._on_channel, "on_end": on_end}
        self._process.start(code, keep, readable, writable, stdin, calls, granted=grants.paths, **callbacks)

    def stop(self) -> None:
        """See PluginProcess."""
        self._finish("stopped", "stopped", "the check was ended early: the image was decided without it")

    def fail(self, outcome: PluginOutcome, code: str, message: str, detail: str | None = None) -> None:
        """See PluginProcess. Parts of `detail` may be the plugin's words."""
        words = clean_lines(detail, MAX_TRACE) if detail is not None else None
        self._finish(outcome, code, f"the check {self.spec.name!r} {message}", detail=words)

    def refuse(self, code: str, message: str) -> None:
        """See PluginProcess."""
        if self.verdict is None:
            self._finish("refused", code, message)
        else:
            self.withdraw("refused", code, message)

    def withdraw(self, outcome: PluginOutcome, code: str, message: str) -> None:
        """See PluginProcess."""
        verdict = self.verdict
        if verdict is not None and verdict.outcome == "accepted":
            verdict.outcome, verdict.code, verdict.message = outcome, code, message
            verdict.properties, verdict.proposed = {}, {}
            self._loop.post(PluginAnswered(self.spec.name, verdict))

    def _finish(self, outcome: PluginOutcome, code: str | None, message: str | None, **fields: Any) -> None:
        """Set the verdict, end the process, post the event. Only the first call counts."""
        if self.verdict is not None:
            return
        self._stopwatch.stop()
        fields.setdefault("bytes_seen", self._position())
        self.verdict = Verdict(
            plugin=self.spec.name,
            outcome=outcome,
            code=code,
            message=message,
            mode=self.spec.mode,
            warnings=list(self._warnings),
            seconds=round(self._stopwatch.seconds, 6),
            ran=self.provenance(),
            **fields,
        )
        self.end()
        self._loop.post(PluginAnswered(self.spec.name, self.verdict, self.becomes, self._looked_until))

    def provenance(self) -> Provenance:
        """See PluginProcess."""
        kind = "transform" if self.is_transform else "inspector"
        return Provenance(
            use=self.spec.use,
            kind=kind if self.ready else None,
            reads=self.reads if self.ready else None,
            api=self.described.api if self.described is not None else None,
            version=self.plugin.code.version,
            code_sha256=self.plugin.code.code_sha256,
            config_sha256=self.spec.config_digest(),
            grants=self._grants.contents,
            sandbox=self._sandbox_spec.tier.value,
            earlier_images=self.earlier_images,
        )

    def private_grants(self) -> tuple[str, ...]:
        """See PluginProcess."""
        return tuple(granted.path for granted in self._grants.paths if granted.is_private)

    def has_current_grants(self) -> bool:
        """See PluginProcess."""
        return all(is_current(granted) for granted in self._grants.paths)

    def end(self) -> None:
        """See PluginProcess."""
        self._process.end()

    def close(self) -> None:
        """See PluginProcess."""
        self.end()
        self.release()
        if self.output is not None:
            os.close(self.output)
            self.output = None

    def scratch_used(self) -> int:
        """See PluginProcess."""
        folder = self._process.temporary()
        return self._scratch_bytes() + (folder.bytes if folder is not None else 0)

    def _scratch_bytes(self) -> int:
        return self._scratch.used() if self._scratch is not None else 0

    def release(self) -> None:
        """See PluginProcess."""
        if self._scratch is not None:
            self._scratch.close()

    def _view(self) -> View:
        """What the sandbox shows and allows."""
        target = self.plugin.code.target
        return View(
            self.spec,
            self._sandbox_spec.tier,
            self._process.visible,
            folder=self._process.folder,
            file=target.path if isinstance(target, SourceFile) else None,
            open_files=self._sandbox_spec.bounds.open_files,
            is_program=self.plugin.code.is_exec,
        )

    def _advice_on_output(self) -> str:
        """What the operator should know about the last words of an ended process; empty if nothing."""
        self._log.close()
        for lines in (self._log.last_line, self._log.first_line):
            if advice := advise(find_cause(lines.get("stderr", "")), self._view()):
                return advice
        return ""

    # the channel

    def _on_channel(self) -> None:
        self._process.receive()
        self._handle_frames()

    def _handle_frames(self) -> None:
        process = self._process
        try:
            for kind, payload in process.frames():
                if self._is_sandboxed:
                    self._on_frame(kind, payload)
                else:
                    self._process.confirm(kind, payload)
                    self._is_sandboxed = True
                    self._on_sandboxed()
                if self.verdict is not None or self._process is not process:
                    return
        except Violation as error:
            self._fail_protocol(f"{error}")
            return
        if self._process.has_hung_up():
            self._on_closed()

    def _fail_protocol(self, detail: str) -> None:
        self.fail("failed", "plugin-protocol", "broke off the conversation with Douane", detail)

    def _on_process_end(self, process: SandboxedProcess) -> None:
        """Read the remaining frames of the ended process, then conclude."""
        if self._process is not process:
            return  # it was replaced: the loop had found its channel and its end at the same time
        process.receive_rest()
        self._handle_frames()
        if self.verdict is None and self._process is process and (code := process.exit_code(END_SECONDS)) is not None:
            self._on_exit(code)

    def _expect_end(self) -> None:
        """The process should end by itself now; it has END_SECONDS."""
        if self._lingers is None:
            self._lingers = 0.0

    # clocks

    def _attach(self, attach: Callable[[], None]) -> None:
        try:
            attach()
        except ValueError:
            if self.spec.mode != "audit":
                raise
            self._post_overrun()  # the ring has just gone on without it

    def _post_overrun(self) -> None:
        self._loop.post(AuditorOverrun(self.spec.name))

    def _start_image(self) -> None:
        """The plugin has its image: from here on stall and total count."""
        self._has_image = True
        self._limits.start_image(stall=self._can_stall())
        self._stopwatch.start()

    def tick(self, seconds: float, *, produced: int, blocked: bool) -> None:
        """See PluginProcess."""
        if self.verdict is not None or not self._process.is_running:
            return
        self._process.refill()
        # Memory and files are measured until the process is gone, also after its answer.
        failure = self._limits.check_use(self._process, self._scratch_bytes(), seconds)
        if failure is None and self._lingers is None:
            failure = self._check_clocks(seconds, produced, blocked)
        if failure is not None:
            self.fail(failure.outcome, failure.code, failure.message, failure.detail)
        elif self._lingers is not None:
            self._lingers += seconds
            if self._lingers > END_SECONDS:
                self._on_lingering()
        elif self._is_clogged():
            self._fail_protocol("it does not read its channel")

    def _check_clocks(self, seconds: float, produced: int, blocked: bool) -> Failure | None:
        position = self._position()
        progress = (position, self._signs_of_life, produced)
        if not self._has_image:
            return None if self.ready else self._limits.check_start(seconds, progress=progress)
        busy = self._is_busy() and not blocked
        (self._stopwatch.start if busy else self._stopwatch.stop)()
        return self._limits.check_image(seconds, busy=busy, progress=progress, position=position)

    # for subclasses

    def _can_stall(self) -> bool:
        """True if the process shows its progress while it works, so that a lack of it is a failure."""
        return self.needs in ("bytes", "files")

    def position(self) -> int:
        """See PluginProcess."""
        return self._position()

    def caught_up(self) -> bool:
        """See PluginProcess."""
        return False

    def force_decision(self) -> None:
        """See PluginProcess."""
        raise NotImplementedError

    @property
    def reads(self) -> str:
        """See PluginProcess."""
        return "stream"

    @property
    def reads_findings(self) -> bool:
        """See PluginProcess."""
        return self.described is not None and self.described.reads_findings

    def _position(self) -> int:
        """The number of bytes of the image that the process is done with."""
        return 0

    def _is_busy(self) -> bool:
        """True while the process has bytes to work on."""
        raise NotImplementedError

    def _is_clogged(self) -> bool:
        """True if the process did not read its channel."""
        return False

    def _on_sandboxed(self) -> None:
        """The sandbox is closed and tested."""

    def _on_frame(self, kind: int, payload: bytes) -> None:
        raise Violation(f"it sent a {name_of(kind)} frame")

    def _on_closed(self) -> None:
        """The process has closed its channel."""
        raise NotImplementedError

    def _on_exit(self, code: int) -> None:
        """The process has ended without a verdict, with this return code."""
        raise NotImplementedError

    def _on_lingering(self) -> None:
        """The process lives on though it should have ended."""
        self.fail("failed", "plugin-protocol", "did not end after its answer")
