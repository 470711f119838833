"""A run in this process: the runtime of production, without the engine at the other end of its channel."""

from __future__ import annotations

import logging
import os
import tempfile
from typing import Any, Optional

from douane_plugin import wire
from douane_plugin._contract import API_LEVEL, Defer, Incomplete, Reject, Transform
from douane_plugin._failures import explain
from douane_plugin._image import Image
from douane_plugin._load import LoadError, describe, load
from douane_plugin._rules import BadProperties, check_properties, check_proposed, clean
from douane_plugin._runtime import _FileChunks, _Runtime
from douane_plugin._settings import SettingError, arguments

from ._grants import Grants
from ._order import Order
from ._pieces import Lengths, spool
from ._result import LogLine, Output, PluginFailed, Result, Warned, WrongConfiguration
from ._ring import LocalChannel, Slots

MAX_LINE = 4096
MAX_LOG = 256 << 10
"""As in the engine: what the log may hold in all."""

OUTCOMES = {wire.REFUSE: "refused", wire.INCOMPLETE: "incomplete", wire.DEFER: "deferred", wire.ACCEPT: "accepted"}
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Violation(Exception):
    """What the engine would end the plugin for, with the code ``plugin-protocol``."""


class _RandomChunks(_FileChunks):
    """Of a file that is read at random and iterated as well, cut as the test wants it."""

    def __init__(self, fd: int, choose: Lengths) -> None:
        super().__init__(fd)
        self._choose = choose
        self._size = os.fstat(fd).st_size

    def take(self) -> Optional[memoryview]:
        if self._at >= self._size:
            return None
        data = os.pread(self._fd, self._choose(self._at, self._size - self._at), self._at)
        self._at += len(data)
        return memoryview(data)


class _Here(_Runtime):
    """The runtime with its frames kept; the descriptors are given up by :meth:`close`."""

    _channel: Any

    def __init__(self, order: Order, cls: type, reads: str, transforms: bool) -> None:
        self.order = order
        self.reads = reads
        self.grants = Grants(order.grants)
        self.violation: Optional[_Violation] = None
        self.slots = Slots()
        limit = int(reads[5:]) if reads.startswith("head:") else None
        channel: Any = LocalChannel(self.slots, order.source.pieces(order.choose, order.size), limit)
        super().__init__(channel)
        self.output = tempfile.TemporaryFile() if transforms else None  # noqa: SIM115  # the result keeps it
        wanted = range(2 if order.scratch else 0)
        self._files = [tempfile.TemporaryFile(buffering=0) for _ in wanted]  # noqa: SIM115  # until `close`
        self._image_fd: Optional[int] = None
        self._load = {"grants": {}}
        try:
            self._hand_over(cls)
        except BaseException:
            self.close()
            raise

    def _hand_over(self, cls: type) -> None:
        """Open what the plugin is given."""
        order = self.order
        self._image_fd = spool(order.source, order.size) if self.reads == "random" else None
        self._load = {
            "use": {"module": cls.__module__, "attribute": cls.__name__},
            "name": order.name,
            "log_level": logging.DEBUG,
            "grants": self.grants.here(),
            "rings": [{"fd": self.slots.fd, "slot_bytes": self.slots.slot_bytes}],
            "image_fd": self._image_fd,
            "scratch": {"fds": [file.fileno() for file in self._files], "bytes": order.scratch}
            if self._files
            else None,
        }

    def warn(self, code: str, message: str) -> None:
        super().warn(code, message)
        if sum(kind == wire.WARN for kind, _ in self._channel.told) > wire.MAX_WARNINGS:
            # Kept as well: the engine ends the plugin, which cannot catch that.
            self.violation = _Violation(f"it gave more than {wire.MAX_WARNINGS} warnings")
            raise self.violation

    def image(self, transforms: bool) -> Image:
        facts = self.order.declared._facts()
        size = os.fstat(self._image_fd).st_size if self._image_fd is not None else self.order.size
        findings = self.order.findings if self.reads == "findings" else {}
        self._image = self._make_image({**facts, "size": size, "findings": findings, "ring": 0}, self.reads, transforms)
        if self._image_fd is not None and self.order.choose is not None:
            self._image._source = _RandomChunks(self._image_fd, self.order.choose)
        return self._image

    def _transform(self, plugin: Transform, image: Image) -> None:
        assert self.output is not None
        fd = self._load["output_fd"] = os.dup(self.output.fileno())
        try:
            super()._transform(plugin, image)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> Optional[BaseException]:
        """The plugin has ended: hang up, wait for servers. What a server raised."""
        for name, granted in self._load["grants"].items():
            if name in self._grants:
                self._grants[name].close()
            else:
                os.close(granted["fd"])
        for file in self._files:
            file.close()
        if self._image_fd is not None:
            os.close(self._image_fd)
        self.slots.close()
        return self.grants.close()

    def drop_output(self) -> None:
        """No result keeps it."""
        if self.output is not None:
            self.output.close()


def run_here(order: Order) -> Result:
    """Run the plugin of `order`. Raises what :func:`douane_plugin.testing.run` says."""
    __tracebackhide__ = True
    cls, told, given = _prepare(order)
    transforms = told["kind"] == "transform"
    runtime = _Here(order, cls, told["reads"], transforms)
    try:
        result = _run(runtime, cls, given, transforms)
    except BaseException:
        runtime.drop_output()
        raise
    finally:
        runtime._image = None  # in a transform they hold each other, and with them what is mapped
    if result._output is None:
        runtime.drop_output()
    return result


def _run(runtime: _Here, cls: type, given: dict[str, Any], transforms: bool) -> Result:
    __tracebackhide__ = True
    order = runtime.order
    failed: Optional[BaseException] = None
    stage = "configure"
    try:
        try:
            plugin: Any = cls.__new__(cls)  # type: ignore[call-overload]  # mypy reads `type.__new__` here
            plugin._douane = runtime
            plugin.__init__(**given)
            stage = "run"
            _answer(runtime, plugin, runtime.image(transforms))
        except (Exception, SystemExit) as error:  # the plugin's, whatever it is; not the keyboard's, nor pytest's own
            failed = error
    finally:
        of_server = runtime.close()
    if order.source.error is not None:
        raise order.source.error
    if of_server is not None:
        raise of_server
    if stage == "configure" and isinstance(failed, (ValueError, TypeError)):
        raise WrongConfiguration(f"its configuration is refused: {failed}") from _trimmed(failed)
    failed = runtime.violation or failed
    if failed is None:
        try:
            return _result(runtime)
        except BadProperties as error:
            failed = error
    result = _failure(runtime, stage, failed)
    if not order.raising:
        return result
    if stage == "run" and not isinstance(failed, (BadProperties, _Violation, SystemExit)):
        raise _trimmed(failed)
    if isinstance(failed, (Exception, SystemExit)) and not isinstance(failed, (BadProperties, _Violation)):
        if isinstance(failed, (Reject, Incomplete, Defer)):
            what = f"it raised {type(failed).__name__} in its constructor, where it has seen no image: {failed}"
        elif isinstance(failed, SystemExit):
            what = f"it ended with sys.exit({failed.code!r}), which is no answer"
        else:
            raise _trimmed(failed)
        raise PluginFailed(what, result) from _trimmed(failed)
    raise PluginFailed(str(failed), result)


def _prepare(order: Order) -> tuple[type, dict[str, Any], dict[str, Any]]:
    """The class, what it says of itself, and its arguments. Raises WrongConfiguration."""
    __tracebackhide__ = True
    try:
        cls = load(_use(order.plugin)) if isinstance(order.plugin, str) else order.plugin
        told = describe(cls)
        if told["api"] > API_LEVEL:
            raise LoadError(f"it is written for contract level {told['api']}, this douane_plugin has {API_LEVEL}")
        return cls, told, arguments(cls, order.config, {})
    except LoadError as error:
        raise WrongConfiguration(str(error)) from None
    except SettingError as error:
        raise WrongConfiguration(error.message, error.key) from None


def _use(spec: str) -> dict[str, Any]:
    module, _, attribute = spec.rpartition(":")
    if not module or not attribute.isidentifier():
        raise LoadError(f"{spec!r} is not understood; write path/to/file.py:Class or module:Class")
    if not (module.endswith(".py") or "/" in module):
        return {"module": module, "attribute": attribute}
    path = os.path.abspath(os.path.expanduser(module))
    try:
        with open(path, encoding="utf-8") as file:
            return {"path": path, "source": file.read(), "attribute": attribute}
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}") from None


def _answer(runtime: _Here, plugin: Any, image: Image) -> None:
    """Let the plugin answer, as `_Runtime.converse` does."""
    try:
        runtime._answer(plugin, image)
    except Reject as answer:
        runtime._refuse("run", wire.REFUSE, answer)
    except Incomplete as answer:
        runtime._refuse("run", wire.INCOMPLETE, answer)
    except Defer as answer:
        runtime._finish(wire.DEFER, {"retry_after": answer.retry_after, "message": answer.message[: wire.MAX_MESSAGE]})


def _result(runtime: _Here) -> Result:
    """The answer, weighed as the engine does. Raises BadProperties."""
    order = runtime.order
    kind, value = runtime._channel.answer
    seen = runtime._seen()
    if kind != wire.ACCEPT:
        return Result(
            OUTCOMES[kind],
            code=value.get("code", "deferred"),
            message=clean(value["message"]),
            retry_after=value.get("retry_after"),
            bytes_seen=seen,
            **_told(runtime),
        )
    named = check_properties(order.name, value["properties"])
    proposed = check_proposed(order.may_set, value.get("proposed") or {})
    if runtime._image_fd is not None and runtime._image is not None:
        seen = runtime._image.size or 0  # it could see all; what it did see is its affair
    unchanged = runtime._channel.unchanged
    output = Output(runtime.output) if runtime.output is not None and not unchanged else None
    return Result(
        "accepted",
        properties={key[len(order.name) + 1 :]: found for key, found in named.items()},
        proposed=proposed,
        bytes_seen=seen,
        unchanged=unchanged,
        _output=output,
        **_told(runtime),
    )


def _failure(runtime: _Here, stage: str, error: BaseException) -> Result:
    code, what = "plugin-error", "failed; that is a fault of the check, not of the image"
    if isinstance(error, MemoryError):
        code, what = "plugin-memory", "ran out of its memory"
    elif isinstance(error, BadProperties):
        code, what = "plugin-properties", "returned properties that it may not set"
    elif isinstance(error, _Violation) or (isinstance(error, Defer) and stage != "run"):
        code, what = "plugin-protocol", "broke off the conversation with Douane"
    plain = isinstance(error, (BadProperties, _Violation))
    where = runtime._where() if stage == "run" else ""
    trace = str(error) if plain else explain(error, runtime._load["use"], where)["trace"]
    return Result(
        "failed",
        code=code,
        message=f"the check {runtime.order.name!r} {what}",
        bytes_seen=runtime._seen(),
        error=None if plain else _trimmed(error),
        trace=trace,
        **_told(runtime),
    )


def _told(runtime: _Here) -> dict[str, Any]:
    """What was said besides the answer: warnings, log lines, and what the image becomes."""
    formats = {key: getattr(runtime.order.declared, key) for key in ("disk_format", "container_format")}
    warnings, lines, left, dropped = [], [], MAX_LOG, 0
    for kind, value in runtime._channel.told:
        if kind == wire.WARN:
            warnings.append(Warned(value["code"], clean(value["message"])))
        elif kind == wire.BECOMES:
            formats.update(value)
        elif kind == wire.LOG:
            line = clean(value["message"], MAX_LINE)
            if len(line) > left:
                dropped += 1
            elif line:
                left -= len(line)
                lines.append(LogLine(value["level"], line))
    if dropped:
        lines.append(LogLine(logging.WARNING, f"({dropped} more lines were dropped: too much was logged)"))
    return {"warnings": tuple(warnings[: wire.MAX_WARNINGS]), "log": tuple(lines), **formats}


def _trimmed(error: BaseException) -> BaseException:
    """`error` with a traceback that begins in the author's own code, if it comes to that at all."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        trace = trace.tb_next
    return error.with_traceback(trace) if trace is not None else error
