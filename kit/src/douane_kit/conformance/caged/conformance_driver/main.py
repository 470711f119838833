"""The conversation in the cage: what is loaded, then case after case."""

from __future__ import annotations

import contextlib
import io
import itertools
import marshal
import mmap
import os
import sys
import time

from douane_plugin import Defer, Image, Incomplete, Reject, Transform, wire
from douane_plugin._load import LoadError, describe, load
from douane_plugin._settings import SettingError, arguments

from . import world
from .chunks import CaseChunks, NoChunks, Slots
from .constants import Found, gather
from .runtime import CaseRuntime, TooMuchOutput
from .tracing import Tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HEADER = 4


def main(channel: int) -> None:
    """Serve until nobody asks any more. Never returns."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):
        Driver(channel).serve()
    os._exit(0)


class Driver:
    """One plugin, loaded once."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._slots = Slots()
        self._slept = 0.0
        self._told: dict[str, Any] = {}
        self._seen_arcs: set[tuple[int, int, int]] = set()
        self._tracer_files: dict[str, int] = {}

    # frames

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = os.read(self._channel, min(size - len(parts), 1 << 20))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def _receive(self) -> Any:
        return marshal.loads(self._read(int.from_bytes(self._read(HEADER), "little")))  # noqa: S302  # from outside

    def _send(self, value: dict[str, Any]) -> None:
        import json

        payload = json.dumps(value).encode("ascii", "backslashreplace")
        data = memoryview(len(payload).to_bytes(HEADER, "little") + payload)
        while data:
            data = data[os.write(self._channel, data) :]

    def serve(self) -> None:
        """Load, answer, then run cases."""
        self._told = told = self._receive()
        self._out, self._err = world.Counter(1), world.Counter(2)
        for name, raw in (("stdout", self._out), ("stderr", self._err)):
            stream = io.TextIOWrapper(
                io.BufferedWriter(raw, 4096), encoding="utf-8", errors="backslashreplace", write_through=True
            )
            setattr(sys, name, stream)
        world.wait_no_longer(self._sleeps)
        setting = told["world"]
        if setting.get("clock"):
            world.shift_clock(setting["clock"])
        if setting.get("dice"):
            world.load_dice(setting["dice"] == "low")
        self._file: Any = None
        if told["image_fd"] is not None:
            self._file = told["image_fd"]
        try:
            self._load()
        except BaseException as error:  # whatever the plugin's module raises
            self._send(self._failure(error, "load"))
            return
        while True:
            for case in self._receive():
                self._send(self._run(case))

    def _sleeps(self, seconds: float) -> None:
        self._slept += seconds

    def _load(self) -> None:
        told = self._told
        before = set(sys.modules)
        self._cls: Any = load(told["use"])
        self._own_modules = [name for name in sys.modules if name not in before]
        described = describe(self._cls)
        self._reads = described["reads"]
        self._arguments = arguments(self._cls, told["config"], told["texts"])
        roots = self._roots()

        def is_plugins(name: str) -> bool:
            return name.startswith(roots)

        self._is_plugins = is_plugins
        modules = [
            module
            for name, module in list(sys.modules.items())
            if is_plugins(getattr(module, "__file__", None) or "") or name == getattr(self._cls, "__module__", "")
        ]
        self._found = gather(self._cls, modules, is_plugins)
        self._found.add(self._arguments)
        for parameter in described["parameters"]:
            self._found.add(parameter.get("default"))
        self._send({"ok": True, "described": described, "found": self._found.told()})

    def _roots(self) -> tuple[str, ...]:
        use = self._told["use"]
        if "source" in use:
            return (use["path"],)
        file = getattr(sys.modules[use["module"]], "__file__", None) or ""
        if "." in use["module"]:
            return (os.path.dirname(file) + os.sep,)
        return (file,)

    def _reload(self) -> None:
        for name in self._own_modules:
            module = sys.modules.get(name)
            if module is not None and self._is_plugins(getattr(module, "__file__", None) or ""):
                del sys.modules[name]
        self._cls = load(self._told["use"])

    # a case

    def _run(self, case: dict[str, Any]) -> dict[str, Any]:
        import gc

        if case.get("reload"):
            self._reload()
        self._slots.fresh()
        self._slept = 0.0
        printed = self._out.count + self._err.count
        told = self._told
        level = told["log_level"]
        runtime = CaseRuntime(told["name"], told["grants"], told["scratch"], level, case["most_output"])
        runtime.output_wanted = case.get("output", 0)
        result: dict[str, Any] = {}
        tracer: Tracer | None = None
        measure = case.get("measure")
        if measure == "memory":
            import tracemalloc

            gc.collect()
            tracemalloc.start()
        if case.get("trace"):
            tracer = Tracer(self._is_plugins, self._found if case.get("sample") else None)
        mapping = view = None
        if case["length"]:
            mapping = mmap.mmap(self._file, case["length"] + case["at"], mmap.MAP_SHARED, mmap.PROT_READ)
            view = memoryview(mapping)[case["at"] : case["at"] + case["length"]]
        stage, self._image = "configure", None
        began, cpu = time.monotonic(), time.process_time()
        try:
            plugin = self._cls.__new__(self._cls)
            plugin._douane = runtime
            plugin.__init__(**self._arguments)
            if case.get("sample"):
                self._found.add(plugin)
            stage = "run"
            image = self._make_image(case, view or memoryview(b""), runtime, isinstance(plugin, Transform))
            self._image = image
            if tracer is not None:
                with tracer:
                    result = self._answer(plugin, image, runtime)
            else:
                result = self._answer(plugin, image, runtime)
        except (Reject, Incomplete) as answer:
            kind = "refused" if isinstance(answer, Reject) else "incomplete"
            result = {"outcome": kind, "code": answer.code, "message": answer.message, **_context(answer)}
            if stage != "run":
                result = self._failure(answer, stage)
        except Defer as answer:
            result = {"outcome": "deferred", "code": "deferred", "message": answer.message, **_context(answer)}
            result["retry_after"] = answer.retry_after
        except TooMuchOutput:
            result = {"outcome": "failed", "kind": "TooMuchOutput", "message": "", "trace": "", "stage": stage}
        except BaseException as error:  # sys.exit and KeyboardInterrupt are no verdicts either
            result = self._failure(error, stage)
        result["cpu"] = time.process_time() - cpu
        result["wall"] = time.monotonic() - began
        if measure == "memory":
            result["peak"] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        self._finish(result, runtime, tracer, case)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        result["printed"] = self._out.count + self._err.count - printed
        result["id"] = case["id"]
        plugin = image = self._image = None
        if view is not None:
            gone = view
            view = None
            try:
                gone.release()
                if mapping is not None:
                    mapping.close()
            except BufferError:
                pass  # only the driver's own sources look at it; the next collection closes it
        return result

    def _make_image(self, case: dict[str, Any], view: memoryview, runtime: CaseRuntime, transforms: bool) -> Any:
        reads = self._reads
        file = path = None
        source: Any
        lengths = _lengths(case["cuts"])
        if reads in ("nothing", "findings"):
            source = NoChunks(runtime.event)
        else:
            beyond = False
            if reads.startswith("head:"):
                limit = int(reads[5:])
                beyond = len(view) > limit
                view = view[:limit]
            if reads == "random":
                os.lseek(self._file, 0, os.SEEK_SET)
                file = os.fdopen(self._file, "rb", closefd=False)
                path = f"/proc/self/fd/{self._file}"
            source = CaseChunks(view, lengths, self._slots, runtime.event, beyond)
        self._source = source
        facts = case["facts"]
        return Image(facts, source, reads=reads, file=file, path=path, transforms=runtime if transforms else None)

    def _answer(self, plugin: Any, image: Any, runtime: CaseRuntime) -> dict[str, Any]:
        if isinstance(plugin, Transform):
            runtime.transform(plugin, image)
            return self._accepted(runtime.properties, runtime)
        result = plugin.inspect(image)
        if result is None:
            result = {}
        elif not hasattr(result, "keys"):
            runtime.event("wrong-return")
            raise TypeError(
                f"inspect() returned {result!r:.60}; return None (or a mapping of properties) to accept, "
                "raise Reject to refuse"
            )
        return self._accepted(dict(result), runtime)

    def _accepted(self, properties: dict[str, Any], runtime: CaseRuntime) -> dict[str, Any]:
        from douane_plugin._json import dumps, loads

        try:
            text = dumps({"properties": properties, "proposed": runtime.proposed})
        except (TypeError, ValueError, RecursionError) as error:
            runtime.event("untellable")
            raise TypeError(f"the properties cannot be told: {error}") from None
        if len(text) > wire.MAX_PAYLOAD:
            runtime.event("untellable")
            raise TypeError(f"the properties have {len(text)} bytes in all, and no more than 4 MiB can be told")
        return {"outcome": "accepted", **loads(text)}

    def _failure(self, error: BaseException, stage: str) -> dict[str, Any]:
        from douane_plugin._failures import explain

        told: dict[str, Any] = explain(error, self._told["use"])
        told["outcome"] = "failed"
        told["stage"] = stage
        if isinstance(error, SettingError):
            told["key"] = error.key
        told["configuration"] = isinstance(error, (SettingError, LoadError))
        last, line = error.__traceback__, 0
        library = False
        while last is not None:
            name = last.tb_frame.f_code.co_filename
            if getattr(self, "_is_plugins", None) is not None and self._is_plugins(name):
                line = last.tb_lineno
            library = library or name.endswith("subprocess.py")
            last = last.tb_next
        told["line"] = line
        told["program"] = library and isinstance(error, (OSError,))
        return told

    def _finish(
        self, result: dict[str, Any], runtime: CaseRuntime, tracer: Tracer | None, case: dict[str, Any]
    ) -> None:
        image = self._image
        result["warnings"] = runtime.warnings
        result["events"] = runtime.events
        result["logged"] = runtime.logged
        result["slept"] = self._slept
        result["seen"] = image.offset if image is not None else 0
        result["taken"] = getattr(getattr(self, "_source", None), "taken", 0)
        result["unchanged"] = runtime.is_unchanged
        result["becomes"] = runtime.becoming
        result["output"] = [runtime.output_bytes, runtime.digest(), runtime.output_start.hex()]
        if case.get("output"):
            result["output_bytes"] = b"".join(runtime.output_parts).hex()
        self._source = None
        if tracer is not None:
            names = tracer.file_names()
            arcs = {(self._number(names[file]), last, line) for file, last, line in tracer.arcs}
            fresh = arcs - self._seen_arcs
            self._seen_arcs |= fresh
            result["new_arcs"] = len(fresh)
            result["arcs"] = hash(frozenset(arcs))
            result["arc_count"] = len(arcs)
            result["lines"] = tracer.lines
            result["exceptions"] = tracer.exceptions
        if case.get("sample"):
            result["found"] = self._found.told()

    def _number(self, name: str) -> int:
        return self._tracer_files.setdefault(name, len(self._tracer_files))


def _lengths(cuts: Any) -> Iterator[int]:
    """`cuts`: 0 for one chunk, a length for chunks of that length, or the lengths of the first ones."""
    if isinstance(cuts, int):
        return itertools.repeat(cuts) if cuts else iter(())
    return iter(cuts)


def _context(answer: BaseException) -> dict[str, Any]:
    """The exception that an answer was made of, if there was one."""
    cause = answer.__cause__ or answer.__context__
    if cause is None or isinstance(cause, (Reject, Incomplete, Defer)):
        return {}
    try:
        return {"cause": [type(cause).__name__, str(cause)[:1000], repr(cause)[:1000]]}
    except Exception:  # it is the plugin's own code that runs here
        return {}


__all__ = ["Driver", "Found", "main"]
