"""Record the exceptions that pass through the plugin's functions, those included that the plugin catches."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

MAX_EXCEPTIONS = 40


class ExceptionTrace:
    """A context in which exceptions are recorded. `is_plugins` is True for the files of the plugin."""

    def __init__(self, is_plugins: Callable[[str], bool]) -> None:
        self._is_plugins = is_plugins
        self._by_code: dict[Any, bool] = {}
        self.exceptions: list[list[Any]] = []
        """[kind, file, line, text] of each."""

    def __enter__(self) -> ExceptionTrace:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: Any, event: str, arg: Any) -> Any:
        code = frame.f_code
        is_plugins = self._by_code.get(code)
        if is_plugins is None:
            is_plugins = self._by_code[code] = self._is_plugins(code.co_filename)
        if not is_plugins:
            return None
        frame.f_trace_lines = False  # an event for each line would make the plugin ten times slower
        return self._local

    def _local(self, frame: Any, event: str, arg: Any) -> Any:
        if event == "exception" and len(self.exceptions) < MAX_EXCEPTIONS:
            kind, error = arg[0], arg[1]
            if kind not in (StopIteration, GeneratorExit):
                try:
                    text = str(error)[:200]
                except Exception:  # __str__ is the plugin's own code
                    text = ""
                self.exceptions.append([kind.__name__, frame.f_code.co_filename, frame.f_lineno, text])
        return self._local
