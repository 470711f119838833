"""A run in this process: the runtime of production over a channel without an engine."""

from __future__ import annotations

import logging
import os
import tempfile
from typing import Any, Optional

from douane_plugin import wire
from douane_plugin._cause import is_bug
from douane_plugin._exceptions import Defer, Incomplete, Reject
from douane_plugin._failures import authors_files, explain
from douane_plugin._image import Image
from douane_plugin._load import LoadError, check_level, describe, load
from douane_plugin._local import RING_BYTES, SLOT_BYTES, LocalRuntime, Slots
from douane_plugin._rules import BadProperties, check_documents, check_properties, check_proposed, clean
from douane_plugin._runtime import READS_FILE, READS_FINDINGS
from douane_plugin._settings import SettingError, arguments

from ._grants import Grants
from ._pieces import Source, spool
from ._records import check_guest, record_pieces
from ._result import LogLine, Output, PluginFailed, Result, Warned, WrongConfiguration
from ._run_spec import RunSpec

MAX_LINE = 4096
MAX_LOG = 256 << 10
"""Bytes of log in all, as in the engine."""

OUTCOMES = {wire.REFUSE: "refused", wire.INCOMPLETE: "incomplete", wire.DEFER: "deferred", wire.ACCEPT: "accepted"}
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Violation(Exception):
    """A breach of the protocol, for which the engine ends the plugin with the code ``plugin-protocol``."""


class InProcessRuntime(LocalRuntime):
    """The runtime of one run of a test; :meth:`close` closes the descriptors that the plugin was given."""

    def __init__(self, run: RunSpec, cls: type, reads: str, transforms: bool) -> None:
        self.run = run
        self.reads = reads
        self.grants = Grants(run.grants, run.plan.get("socket_paths", ()))
        self.violation: Optional[_Violation] = None
        self._ring = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._ring.truncate(RING_BYTES)
        self.slots = Slots(self._ring.fileno())
        self._image_fd: Optional[int] = None
        pieces = record_pieces if reads == "files" else Source.pieces
        super().__init__(self.slots, pieces(run.source, run.choose, run.size), reads, run.choose)
        self.output = tempfile.TemporaryFile() if transforms else None  # noqa: SIM115  # the result closes it
        scratch = range(2 if run.scratch else 0)
        self._files = [tempfile.TemporaryFile(buffering=0) for _ in scratch]  # noqa: SIM115  # closed by `close`
        self.spec = {"grants": {}}
        try:
            self._open(cls)
        except BaseException:
            self.close()
            raise

    def _open(self, cls: type) -> None:
        """Open the image, the grants and the scratch files."""
        run = self.run
        self._image_fd = spool(run.source, run.size) if self.reads in READS_FILE else None
        fds = [file.fileno() for file in self._files]
        self.spec = {
            "use": {"module": cls.__module__, "attribute": cls.__name__},
            "name": run.name,
            "log_level": logging.DEBUG,
            "grants": self.grants.open(),
            "rings": [{"fd": self.slots.fd, "slot_bytes": SLOT_BYTES}],
            "image_fd": self._image_fd,
            "scratch": {"fds": fds, "bytes": run.scratch} if fds else None,
        }

    def warn(self, code: str, message: str) -> None:
        """Collect a warning. Raises _Violation if there are too many."""
        super().warn(code, message)
        if sum(kind == wire.WARN for kind, _ in self.channel.frames) > wire.MAX_WARNINGS:
            # Stored as well: the engine ends the plugin, which cannot catch that.
            self.violation = _Violation(f"it gave more than {wire.MAX_WARNINGS} warnings")
            raise self.violation

    def show_image(self, transforms: bool) -> Image:
        """Return the image of the run."""
        size = os.fstat(self._image_fd).st_size if self._image_fd is not None else self.run.size
        findings = self.run.findings if self.reads in READS_FINDINGS else {}
        facts = {**self.run.declared._facts(), "size": size, "findings": findings, "ring": 0}
        self.image = self.make_image(facts, self.reads, transforms)
        return self.image

    def _write(self, view: memoryview) -> None:
        assert self.output is not None
        self.output.write(view)

    def _end_output(self) -> None:
        assert self.output is not None
        self.output.flush()

    def close(self) -> Optional[BaseException]:
        """Close what the plugin was given, wait for servers, and return the first exception of a server."""
        self.close_grants()
        for file in self._files:
            file.close()
        if self._image_fd is not None:
            os.close(self._image_fd)
        self.slots.close()
        self._ring.close()
        return self.grants.close()

    def drop_output(self) -> None:
        """Close the new image, if no result holds it."""
        if self.output is not None:
            self.output.close()


def run_in_process(run: RunSpec) -> Result:
    """Run the plugin of `run`. Raises what :func:`douane_plugin.testing.run` raises."""
    __tracebackhide__ = True
    cls, description, settings = _prepare(run)
    transforms = description["kind"] == "transform"
    runtime = InProcessRuntime(run, cls, description["reads"], transforms)
    try:
        result = _run(runtime, cls, settings, transforms)
    except BaseException:
        runtime.drop_output()
        raise
    finally:
        runtime.image = None  # a transform's image and runtime hold each other, and with them the mapped slots
    if result._output is None:
        runtime.drop_output()
    return result


def _run(runtime: InProcessRuntime, cls: type, settings: dict[str, Any], transforms: bool) -> Result:
    __tracebackhide__ = True
    run = runtime.run
    failure: Optional[BaseException] = None
    stage = "configure"
    try:
        try:
            plugin = runtime.instantiate(cls, settings)
            stage = "run"
            runtime.decide(plugin, runtime.show_image(transforms))
        except (Exception, SystemExit) as error:  # any of the plugin's; not KeyboardInterrupt, nor pytest's outcomes
            failure = error
    finally:
        server_error = runtime.close()
    if run.source.error is not None:
        raise run.source.error
    if server_error is not None:
        raise server_error
    is_refusal = stage == "configure" and isinstance(failure, (ValueError, TypeError))
    if failure is not None and is_refusal and not is_bug(failure, authors_files(runtime.spec["use"])):
        raise WrongConfiguration(f"its configuration is refused: {failure}") from _trimmed(failure)
    failure = runtime.violation or failure
    if failure is None:
        try:
            return _answered(runtime)
        except BadProperties as error:
            failure = error
    result = _failed(runtime, stage, failure)
    if run.raise_on_failure:
        raise _exception(failure, stage, result)
    return result


def _exception(failure: BaseException, stage: str, result: Result) -> BaseException:
    """Return the exception to raise in the test: the plugin's own, or PluginFailed."""
    if isinstance(failure, (BadProperties, _Violation)):
        return PluginFailed(str(failure), result)
    if isinstance(failure, SystemExit):
        text = f"it ended with sys.exit({failure.code!r}), which is not an answer"
    elif stage != "run" and isinstance(failure, (Reject, Incomplete, Defer)):
        text = f"it raised {type(failure).__name__} in its constructor, before it has seen an image: {failure}"
    else:
        return _trimmed(failure)
    error = PluginFailed(text, result)
    error.__cause__ = _trimmed(failure)
    return error


def _prepare(run: RunSpec) -> tuple[type, dict[str, Any], dict[str, Any]]:
    """Return the class, its description, and its settings. Raises WrongConfiguration."""
    __tracebackhide__ = True
    try:
        cls = load(_use(run.plugin)) if isinstance(run.plugin, str) else run.plugin
        description = describe(cls)
        check_level(description)
        if description["reads"] == "files":
            check_guest()
        return cls, description, arguments(cls, run.config, {})
    except LoadError as error:
        raise WrongConfiguration(str(error)) from None
    except SettingError as error:
        raise WrongConfiguration(error.message, error.key) from None


def _use(text: str) -> dict[str, Any]:
    module, _, attribute = text.rpartition(":")
    if not module or not attribute.isidentifier():
        raise LoadError(f"{text!r} is not understood; write path/to/file.py:Class or module:Class")
    if not (module.endswith(".py") or "/" in module):
        return {"module": module, "attribute": attribute}
    path = os.path.abspath(os.path.expanduser(module))
    try:
        with open(path, encoding="utf-8") as file:
            return {"path": path, "source": file.read(), "attribute": attribute}
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}") from None


def _answered(runtime: InProcessRuntime) -> Result:
    """Return the result of an answer, by the engine's rules. Raises BadProperties."""
    run = runtime.run
    assert runtime.channel.answer is not None
    kind, answer = runtime.channel.answer
    bytes_seen = runtime.bytes_seen()
    documents = check_documents(answer.get("documents", {}))
    if kind != wire.ACCEPT:
        return Result(
            OUTCOMES[kind],
            code=answer.get("code", "deferred"),
            message=clean(answer["message"]),
            retry_after=answer.get("retry_after"),
            documents=documents,
            bytes_seen=bytes_seen,
            **_reported(runtime),
        )
    properties = check_properties(run.name, answer["properties"])
    proposed = check_proposed(run.may_set, answer.get("proposed") or {})
    if runtime._image_fd is not None and runtime.image is not None:
        bytes_seen = runtime.image.size or 0  # a plugin that reads at random may have seen all of it
    unchanged = runtime.channel.unchanged
    output = Output(runtime.output) if runtime.output is not None and not unchanged else None
    return Result(
        "accepted",
        properties={name[len(run.name) + 1 :]: value for name, value in properties.items()},
        proposed=proposed,
        documents=documents,
        bytes_seen=bytes_seen,
        unchanged=unchanged,
        _output=output,
        **_reported(runtime),
    )


def _failed(runtime: InProcessRuntime, stage: str, error: BaseException) -> Result:
    code, text = "plugin-error", "failed; that is a fault of the check, not of the image"
    if isinstance(error, MemoryError):
        code, text = "plugin-memory", "ran out of its memory"
    elif isinstance(error, BadProperties):
        code, text = "plugin-properties", "returned properties that it may not set"
    elif isinstance(error, _Violation) or (isinstance(error, Defer) and stage != "run"):
        code, text = "plugin-protocol", "broke off the conversation with Douane"
    by_rule = isinstance(error, (BadProperties, _Violation))
    position = runtime.position() if stage == "run" else ""
    trace = str(error) if by_rule else explain(error, runtime.spec["use"], position)["trace"]
    return Result(
        "failed",
        code=code,
        message=f"the check {runtime.run.name!r} {text}",
        bytes_seen=runtime.bytes_seen(),
        error=None if by_rule else _trimmed(error),
        trace=trace,
        **_reported(runtime),
    )


def _reported(runtime: InProcessRuntime) -> dict[str, Any]:
    """Return the fields of a result that come from frames before the answer: warnings, log lines, formats."""
    formats = {key: getattr(runtime.run.declared, key) for key in ("disk_format", "container_format")}
    warnings, lines, room, dropped = [], [], MAX_LOG, 0
    for kind, value in runtime.channel.frames:
        if kind == wire.WARN:
            warnings.append(Warned(value["code"], clean(value["message"])))
        elif kind == wire.BECOMES:
            formats.update(value)
        elif kind == wire.LOG:
            line = clean(value["message"], MAX_LINE)
            if len(line) > room:
                dropped += 1
            elif line:
                room -= len(line)
                lines.append(LogLine(value["level"], line))
    if dropped:
        lines.append(LogLine(logging.WARNING, f"({dropped} more lines were dropped: too much was logged)"))
    return {"warnings": tuple(warnings[: wire.MAX_WARNINGS]), "log": tuple(lines), **formats}


def _trimmed(error: BaseException) -> BaseException:
    """Return `error` with a traceback that begins in the author's own code, if it has a frame there."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        trace = trace.tb_next
    return error.with_traceback(trace) if trace is not None else error
