"""A Python plugin in the pass: the engine's side of the conversation that `douane_plugin._runtime` holds."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from douane import sandbox
from douane.errors import PlanError
from douane.report import Warned
from douane.stream.channel_reader import RingReader
from douane.stream.ring import Ring
from douane.stream.temp_files import Scratch
from douane.units import MiB
from douane_plugin import API_LEVEL, wire
from douane_plugin._contract import check_code

from .exit_status import how_it_ended
from .frames import Violation, number, pack, text, unpack
from .plugin_process import Member
from .policy import BadProperties, check_properties, check_proposed, clean

LEVELS = range(1, API_LEVEL + 1)
MAX_TRACE = 16_000
MOST_SECONDS = 1e9
RUNTIME = "douane_plugin._runtime:main"
CONFIGURATION_ERRORS = ("SettingError", "LoadError", "ValueError", "TypeError")
"""What a constructor raises to say that its configuration is wrong; anything else is a failure of the plugin."""


_READS = re.compile(r"nothing|findings|stream|random|head:[1-9][0-9]{0,17}", re.ASCII)


class DescribedParameter(msgspec.Struct):
    """A parameter of a plugin's constructor, as its runtime tells it."""

    name: str
    type: str
    required: bool
    default_text: str = ""
    default: Any = None


class Described(msgspec.Struct, rename={"cls": "class"}):
    """What a plugin's class says of itself."""

    api: int
    kind: Literal["inspector", "transform"]
    reads: str
    level: int
    parameters: list[DescribedParameter] = []
    cls: str = ""
    doc: str = ""
    takes_any: bool = False


class PythonMember(Member):
    """See the module."""

    UNLOADED = "it cannot be imported"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.becomes: dict[str, str] = {}
        self.decided = False
        self.forced = False
        self.misjudged = False
        self.error: PlanError | None = None
        self._outbox = b""
        self._answer: dict[str, Any] | None = None
        self._properties: dict[str, Any] = {}
        self._proposed: dict[str, Any] = {}
        self._stage = "load"
        self._image_fd: int | None = None

    def start(self, rings: Sequence[Ring], grants: dict[str, tuple[int, str]], image_fd: int | None) -> None:
        """Start the process and hand it what it may reach. `grants` are closed here in any case."""
        output = None
        mine: list[int] = []
        try:
            # Each plugin has its own open file: the offset of a shared one would be a way to tell each other things.
            mine = [os.open(f"/proc/self/fd/{ring.fd}", os.O_RDONLY | os.O_CLOEXEC) for ring in rings]
            keep = mine + [fd for fd, _ in grants.values()]
            readable = []
            if self.is_transform:
                self.output, output = os.pipe2(os.O_CLOEXEC)
                with contextlib.suppress(OSError):  # over the user's limit for pipes: slower, not wrong
                    fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, MiB)
                keep.append(output)
            if image_fd is not None:
                keep.append(image_fd)
                readable.append(image_fd)
            if self.spec.scratch is not None:
                self.scratch = Scratch(self.spec.scratch)
            scratch = self.scratch.fds if self.scratch is not None else []
            self.spawn(self.runtime(), keep, readable, scratch)
        finally:
            for fd in (output, image_fd, *mine, *(fd for fd, _ in grants.values())):
                if fd is not None:
                    os.close(fd)
        spec = self.spec
        self._outbox = pack(
            wire.LOAD,
            {
                "levels": [LEVELS.start, LEVELS.stop - 1],
                "name": spec.name,
                "log_level": self.host.log_level,
                "use": self.resolved.load,
                "config": spec.config,
                "texts": spec.texts,
                "grants": {name: {"fd": fd, "kind": kind} for name, (fd, kind) in grants.items()},
                "rings": [{"fd": fd, "slot_bytes": ring.slot_bytes} for fd, ring in zip(mine, rings, strict=True)],
                "image_fd": image_fd,
                "output_fd": output,
                "scratch": {"fds": scratch, "bytes": spec.scratch} if scratch else None,
            },
        )
        self._flush()

    def runtime(self) -> sandbox.PythonRuntime | sandbox.Program:
        """Who holds the other side of the conversation."""
        return sandbox.PythonRuntime(RUNTIME)

    def _flush(self) -> None:
        channel = self._channel
        if channel is None:
            return
        with contextlib.suppress(BlockingIOError):
            try:
                while self._outbox:
                    self._outbox = self._outbox[channel.send(self._outbox) :]
            except (BrokenPipeError, ConnectionResetError):
                self._outbox = b""  # it has ended; its pidfd tells
        self.host.loop.watch(channel.fileno(), self._on_ready_channel, write=bool(self._outbox))

    def _on_ready_channel(self) -> None:
        if self._outbox:
            self._flush()
        self._on_channel()

    def show_image(self, facts: dict[str, Any], index: int, ring: Ring | None) -> None:
        """Give the plugin its image: `ring` (number `index` of those it was started with), or none."""
        self._outbox += pack(wire.IMAGE, {**facts, "ring": index})
        self._flush()
        self._stage = "run"
        self.run_clock()
        if ring is None:
            return
        assert self._channel is not None
        limit = None
        if self.reads.startswith("head:"):
            limit = int(self.reads[5:])
        elif self.reads == "nothing":
            limit = 0
        self.reader = RingReader(
            ring,
            self._channel,
            limit=limit,
            essential=self.spec.mode != "audit",
            overran=lambda: self.host.loop.call(self.overran),
        )
        ring.attach(self.reader)

    # frames

    def on_caged(self) -> None:
        """Only now is its code loaded."""

    def on_frame(self, kind: int, payload: bytes) -> None:
        if self._answer is not None:
            raise Violation("it answered, and then went on talking")
        if kind in (wire.RELEASE, wire.PROGRESS):
            self._on_offset(kind, number(kind, payload))
        elif kind == wire.LOG:
            value = unpack(kind, payload)
            level = value.get("level")
            self.log.line(level if isinstance(level, int) else 20, text(value, "message"))
            self._logged += 1
        elif kind == wire.ALIVE:
            self._logged += 1
        elif kind == wire.DESCRIBED and self._stage == "load":
            self._on_described(payload)
        elif kind == wire.READY and self._stage == "configure":
            self._stage = "ready"
            self.ready = True
            self.host.on_ready(self)
        elif kind == wire.FAILED:
            self._on_failed(unpack(kind, payload))
        elif kind == wire.WARN and self._stage in ("configure", "ready", "run"):
            self._on_warn(unpack(kind, payload))
        elif self._stage != "run":
            raise Violation(f"it sent {wire.TYPES.get(kind, kind)} before it had seen an image")
        elif kind in (wire.BECOMES, wire.BEGIN, wire.UNCHANGED) and self.is_transform:
            self._on_transform(kind, payload)
        elif kind in (wire.ACCEPT, wire.REFUSE, wire.DEFER, wire.INCOMPLETE):
            self._on_answer(kind, unpack(kind, payload))
        else:
            raise Violation(f"it sent a frame of type {wire.TYPES.get(kind, kind)}")

    def _on_offset(self, kind: int, offset: int) -> None:
        reader = self.reader
        if reader is None:
            raise Violation("it let go of bytes that it was not sent")
        told = reader.released_to(offset) if kind == wire.RELEASE else reader.reached(offset)
        if not told:
            raise Violation(f"it let go of the bytes up to {offset}; it had been sent {reader.sent}")

    def _on_described(self, payload: bytes) -> None:
        try:
            told = msgspec.json.decode(payload, type=Described)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Violation(f"its description of itself is not one: {error}") from error
        if told.api not in LEVELS:
            self._wrong(
                f"it is written for contract level {told.api}, and this Douane knows "
                f"{LEVELS.start} to {LEVELS.stop - 1}; upgrade Douane, or use an older release of the plugin"
            )
            return
        reads = told.reads
        if not _READS.fullmatch(reads):
            raise Violation(f"it describes itself with reads = {reads!r:.60}")
        is_transform = told.kind == "transform"
        if is_transform and reads not in ("stream", "random"):
            raise Violation(f"it describes itself as a transform with reads = {reads!r:.60}")
        if is_transform != self.is_transform or (reads == "random") != (self.reads == "random"):
            self.misjudged = True
        self.reads = reads
        self.is_transform = is_transform
        self.described = msgspec.to_builtins(told)
        self._stage = "configure"

    def _on_failed(self, value: dict[str, Any]) -> None:
        kind, message = clean(value.get("kind"), 100), clean(value.get("message"))
        given = value.get("trace")
        trace = given[-MAX_TRACE:] if isinstance(given, str) else ""
        at_load = self._stage == "load" or value.get("stage") == "load"
        if self._stage != "run" and (at_load or kind in CONFIGURATION_ERRORS):
            if kind in ("SettingError", "LoadError"):
                self._wrong(message)
            elif at_load:
                self._wrong(f"{self.UNLOADED}: {kind}: {message}", trace)
            else:
                self._wrong(f"its configuration is refused: {message}", trace)
            return
        if kind == "MemoryError":
            self.fail("failed", "plugin-memory", "ran out of its memory", trace)
            return
        self.fail(
            "failed",
            "plugin-error",
            "failed; that is a fault of the check, not of the image",
            trace or f"{kind}: {message}",
        )

    def _wrong(self, what: str, trace: str | None = None) -> None:
        """The plugin cannot be used as it is configured: nothing starts."""
        self.error = PlanError(f"plugin {self.spec.name!r} ({self.spec.use}): {what}")
        if trace:
            self.error.add_note(trace)
        self.fail("failed", "plugin-unusable", "cannot be used as it is configured", what)

    def _on_warn(self, value: dict[str, Any]) -> None:
        if len(self.warnings) >= wire.MAX_WARNINGS:
            raise Violation(f"it gave more than {wire.MAX_WARNINGS} warnings")
        self.warnings.append(Warned(_code(value), clean(text(value, "message"))))

    def _on_transform(self, kind: int, payload: bytes) -> None:
        if kind == wire.BECOMES:
            value = unpack(kind, payload)
            self.becomes.update({key: text(value, key) for key in ("disk_format", "container_format") if key in value})
            return
        if self.decided:
            raise Violation("it decided twice whether there is something to do")
        if self.forced and kind == wire.UNCHANGED:
            raise Violation("it said that there is nothing to do after it had read too much of the image")
        self.decided = True
        self.host.on_decided(self, unchanged=kind == wire.UNCHANGED)

    def _on_answer(self, kind: int, value: dict[str, Any]) -> None:
        seen = value.get("seen")
        sent = self.reader.sent if self.reader is not None else None
        if isinstance(seen, int) and not isinstance(seen, bool) and seen >= 0:
            value["seen"] = seen if sent is None else min(seen, sent)
        else:
            value["seen"] = self.bytes_seen()
        value["kind"] = kind
        if kind == wire.ACCEPT:
            try:
                self._properties = check_properties(self.spec.name, value.get("properties") or {})
                self._proposed = check_proposed(self.spec, value.get("proposed") or {})
            except BadProperties as error:
                self.fail("failed", "plugin-properties", "returned properties that it may not set", str(error))
                return
            if self.is_transform and not self.decided:
                self.decided = True  # it ended without output: the new image is empty
                self.host.on_decided(self, unchanged=False)
        self._answer = value
        if kind != wire.ACCEPT:
            self._conclude()  # a refusal need not wait for the process to end
        else:
            self.stopwatch.stop()
            if self.reader is not None:
                self.reader.detach()
            self.outlives()

    def _conclude(self) -> None:
        value = self._answer
        assert value is not None
        kind, seen = value["kind"], value["seen"]
        if kind == wire.ACCEPT:
            self.finish("accepted", None, None, properties=self._properties, proposed=self._proposed, seen=seen)
        elif kind == wire.DEFER:
            after = value.get("retry_after")
            if isinstance(after, bool) or not isinstance(after, int | float) or not 0 < after < MOST_SECONDS:
                raise Violation(f"it deferred by {after!r:.60} seconds")
            message = clean(text(value, "message"))
            self.finish("deferred", "deferred", message, retry_after=float(after), seen=seen)
        else:
            code, message = _code(value), clean(text(value, "message"))
            self.finish("refused" if kind == wire.REFUSE else "incomplete", code, message, seen=seen)

    def busy(self) -> bool:
        return self._answer is None and super().busy()

    # ends

    def on_closed(self) -> None:
        if self._answer is not None:
            self._conclude()
        else:
            self.outlives()

    def on_exit(self, code: int) -> None:
        if self._answer is not None:
            self._conclude()
            return
        how = how_it_ended(code)
        if self._stage == "load":
            self._wrong(f"{self.UNLOADED}: {how} while it was being loaded{self.last_words()}")
            return
        self.fail("failed", "plugin-died", "ended without an answer", how)

    def last_words(self) -> str:
        """What the operator is told of an end that came before it had described itself."""
        return ""

    def on_lingering(self) -> None:
        if self._answer is None:
            self.fail("failed", "plugin-protocol", "closed its channel without an answer")
        else:
            super().on_lingering()


def _code(value: dict[str, Any]) -> str:
    try:
        return check_code(value.get("code"))
    except ValueError as error:
        raise Violation(str(error)) from error
