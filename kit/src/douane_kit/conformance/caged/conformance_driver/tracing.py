"""Which lines of the plugin ran, which exceptions came by, and which values its functions held."""

from __future__ import annotations

import sys

from .constants import Found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOST_EXCEPTIONS = 40
SAMPLED_RETURNS = 400
GENERATORS = 0x20 | 0x80 | 0x200  # inspect.CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR


class Tracer:
    """Use `with`. `arcs` are pairs of lines, as file number, line before, line."""

    def __init__(self, is_plugins: Callable[[str], bool], found: Found | None) -> None:
        self._is_plugins = is_plugins
        self._files: dict[Any, int] = {}
        self._names: dict[str, int] = {}
        self._found = found
        self._samples = 0
        self.arcs: set[tuple[int, int, int]] = set()
        self.lines = 0
        self.exceptions: list[tuple[str, str, int, str, int]] = []
        self._last = (0, -1)  # (id, number) of the last exception; itself it would keep frames, and so chunks, alive

    def __enter__(self) -> Tracer:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def file_names(self) -> dict[int, str]:
        """File numbers to their names."""
        return {number: name for name, number in self._names.items()}

    def _call(self, frame: Any, event: str, arg: Any) -> Any:
        code = frame.f_code
        number = self._files.get(code)
        if number is None:
            name = code.co_filename
            number = self._names.setdefault(name, len(self._names)) if self._is_plugins(name) else -1
            self._files[code] = number
        if number < 0:
            return None
        last = 0
        arcs = self.arcs
        found = self._found
        samples = found is not None and not code.co_flags & GENERATORS

        def local(frame: Any, event: str, arg: Any) -> Any:
            nonlocal last
            if event == "line":
                self.lines += 1
                line = frame.f_lineno
                arcs.add((number, last, line))
                last = line
            elif event == "exception":
                self._exception(frame, arg)
            elif event == "return" and samples and self._samples < SAMPLED_RETURNS:
                self._samples += 1
                # Looking makes a copy of the locals that lives as long as the frame; a generator's lives on.
                for value in list(frame.f_locals.values()):
                    found.add(value, depth=2)  # type: ignore[union-attr]  # `samples` says so
            return local

        return local

    def _exception(self, frame: Any, arg: Any) -> None:
        kind, error = arg[0], arg[1]
        if kind in (StopIteration, GeneratorExit) or len(self.exceptions) >= MOST_EXCEPTIONS:
            return
        try:
            text = str(error)[:200]
        except Exception:  # it is the plugin's own code that runs here
            text = ""
        if self._last[0] != id(error):
            self._last = (id(error), self._last[1] + 1)
        number = self._last[1]
        self.exceptions.append((kind.__name__, frame.f_code.co_filename, frame.f_lineno, text, number))
