"""Load the plugin, then run case after case.

Frames are those of the contract's channel. LOAD (a `spec` as in docs/wire.md, with the clock's shift) is answered by
DESCRIBED or FAILED, each IMAGE (a list of cases) by one ACCEPT for each case.
"""

from __future__ import annotations

import mmap
import os
import sys
import time

from douane_plugin import API_LEVEL, Transform, wire
from douane_plugin._load import LoadError, check_guest, describe, load
from douane_plugin._local import Slots
from douane_plugin._settings import SettingError, arguments
from douane_plugin._streams import reopen_streams

from .clocks import count_sleeps, shift_clock
from .exceptions import ExceptionTrace
from .resources import Resources
from .runtime import CaseRuntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin._channel import Channel


class Driver:
    """One plugin, loaded once."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._slept = 0.0
        self._prefixes: tuple[str, ...] = ()

    def serve(self) -> None:
        """Load the plugin, then run cases. Raises Closed."""
        self._spec = self._channel.receive_json(wire.LOAD)
        reopen_streams()
        self._slots = Slots(self._spec["rings"][0]["fd"])
        count_sleeps(self._add_sleep)
        if self._spec["clock"]:
            shift_clock(self._spec["clock"])
        try:
            description = self._load()
        except BaseException as error:  # whatever the plugin's module raises
            self._channel.send_json(wire.FAILED, self._failure(error, "load"))
            return
        self._resources = Resources()
        self._channel.send_json(wire.DESCRIBED, description)
        while True:
            for case in self._channel.receive_json(wire.IMAGE)["cases"]:
                self._channel.send_json(wire.ACCEPT, self._run(case))

    def _add_sleep(self, seconds: float) -> None:
        self._slept += seconds

    def _load(self) -> dict[str, Any]:
        imported = set(sys.modules)
        self._cls: Any = load(self._spec["use"])
        self._modules = [name for name in sys.modules if name not in imported]
        description = describe(self._cls)
        self._reads = description["reads"]
        if self._reads == "files":
            check_guest()  # its images are made to records here
        self._prefixes = _file_prefixes(self._spec["use"])
        self._settings = arguments(self._cls, self._spec["config"], self._spec["texts"])
        return {**description, "level": API_LEVEL}

    def _is_plugins(self, file: str) -> bool:
        return file.startswith(self._prefixes)

    def _reload(self) -> None:
        """Import the plugin's modules again, as for a process of its own."""
        for name in self._modules:
            if self._is_plugins(getattr(sys.modules.get(name), "__file__", None) or ""):
                del sys.modules[name]
        self._cls = load(self._spec["use"])

    def _run(self, case: dict[str, Any]) -> dict[str, Any]:
        if case["reload"]:
            self._reload()
        self._slept = 0.0
        trace = ExceptionTrace(self._is_plugins)
        start, end = case["offset"], case["offset"] + case["length"]
        mapping = mmap.mmap(self._spec["image_fd"], end, mmap.MAP_SHARED, mmap.PROT_READ) if end > start else None
        view = memoryview(mapping or b"")[start:end]
        meter = self._let_measure if case["measure_memory"] else None
        runtime = CaseRuntime(self._case_spec(), case, view, self._reads, self._slots, meter)
        if case["measure_memory"]:
            import gc
            import tracemalloc

            gc.collect()
            tracemalloc.start()
        failure = self._decide(runtime, case, trace)
        outcome: dict[str, Any] = {**runtime.report(), **failure}
        if case["measure_memory"]:
            outcome["peak"] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        outcome["id"] = case["id"]
        outcome["process_cpu"] = time.process_time()
        outcome["slept"] = self._slept
        outcome["exceptions"] = trace.exceptions
        runtime.image = runtime.source = None  # a transform's image and runtime hold each other
        runtime.close_grants()
        self._slots.release(case["length"])
        outcome["next_fd"] = self._resources.settle()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass  # the plugin has closed it
        return outcome

    def _let_measure(self) -> None:
        """Wait until the host has measured the memory of this process."""
        self._channel.send_json(wire.ALIVE, {})
        self._channel.receive_json(wire.ALIVE)

    def _decide(self, runtime: CaseRuntime, case: dict[str, Any], trace: ExceptionTrace) -> dict[str, Any]:
        """Let a new instance of the plugin answer; return the times, and the failure if there is one."""
        stage, failure = "configure", {}
        began, cpu = time.monotonic(), time.process_time()
        try:
            plugin = runtime.instantiate(self._cls, self._settings)
            stage = "run"
            facts = {**case["facts"], "ring": 0}
            runtime.image = runtime.make_image(facts, self._reads, isinstance(plugin, Transform))
            if case["trace"]:
                with trace:
                    runtime.decide(plugin, runtime.image)
            else:
                runtime.decide(plugin, runtime.image)
            if case["measure_memory"]:
                self._let_measure()  # while the instance still holds what it has collected
        except BaseException as error:  # sys.exit and KeyboardInterrupt are not verdicts either
            failure = self._failure(error, stage)
        return {**failure, "cpu": time.process_time() - cpu, "wall": time.monotonic() - began}

    def _case_spec(self) -> dict[str, Any]:
        """Return the spec with new descriptors of the grants, and everything rewound."""
        spec = self._spec
        grants = {}
        for name, grant in spec["grants"].items():
            if grant["kind"] == "file":
                os.lseek(grant["fd"], 0, os.SEEK_SET)
            copy = dict(grant)
            for key in ("fd", "connect_fd"):
                if grant.get(key) is not None:
                    copy[key] = os.dup(grant[key])
            grants[name] = copy
        for fd in (spec["scratch"] or {}).get("fds", ()):
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        os.lseek(spec["image_fd"], 0, os.SEEK_SET)
        return {**spec, "grants": grants}

    def _failure(self, error: BaseException, stage: str) -> dict[str, Any]:
        from douane_plugin._cause import is_bug
        from douane_plugin._failures import authors_files, explain

        explained = explain(error, self._spec["use"])
        failure: dict[str, Any] = {
            "kind": "failed",
            "error": explained["kind"],
            "message": explained["message"],
            "trace": explained["trace"],
            "stage": stage,
            "is_bug": stage == "configure" and is_bug(error, authors_files(self._spec["use"])),
            "sandbox_cause": explained.get("cause"),
            "is_configuration": isinstance(error, (SettingError, LoadError)),
        }
        files = [(step.tb_frame.f_code, step.tb_lineno) for step in _steps(error)]
        failure["line"] = next((line for code, line in reversed(files) if self._is_plugins(code.co_filename)), 0)
        failure["origin"] = _place(files[-1][0]) if files else ""
        starts_program = any(code.co_filename.endswith("subprocess.py") for code, _ in files)
        failure["is_program"] = starts_program and isinstance(error, OSError)
        return failure


def _file_prefixes(use: dict[str, Any]) -> tuple[str, ...]:
    """Return the starts of the paths of the plugin's own files."""
    if "source" in use:
        return (use["path"], *use.get("modules", {}).values())
    file = getattr(sys.modules[use["module"]], "__file__", None) or ""
    return (os.path.dirname(file) + os.sep if "." in use["module"] else file,)


def _steps(error: BaseException) -> list[Any]:
    steps, step = [], error.__traceback__
    while step is not None:
        steps.append(step)
        step = step.tb_next
    return steps


def _place(code: Any) -> str:
    """Return the place in the contract that raised an exception, as ``_image:read``; empty for any other place."""
    folder, file = os.path.split(code.co_filename)
    return f"{file[:-3]}:{code.co_name}" if os.path.basename(folder) == "douane_plugin" else ""
