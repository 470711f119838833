"""An exception as the operator is told it: the author's own frames, nothing of the runtime's or of libraries."""

from __future__ import annotations

import os
import sys

from ._load import LoadError
from ._settings import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

MAX_TRACE = 16_000
MAX_TEXT = 1_000
MAX_CHAIN = 5
"""Exceptions that are shown of those that led to each other."""

CAUSE = "\nThat led to:\n"


def explain(error: BaseException, use: dict[str, Any], where: str = "") -> dict[str, Any]:
    """The kind, message and trace of `error`.

    The trace has the frames of the plugin that `use` names, its file or its package, of `error` and of the exceptions
    that led to it. Where there are none, or it is not known what the plugin is, it has all frames but the runtime's.
    `where` stands above it.
    """
    kind, message = type(error).__name__, _text(error)
    if isinstance(error, (LoadError, SettingError)):
        return {"kind": kind, "message": message, "trace": ""}
    import linecache
    import traceback

    if "source" in use:  # the file itself cannot be opened from inside the cage
        lines = use["source"].splitlines(keepends=True)
        linecache.cache[use["path"]] = (len(use["source"]), None, lines, use["path"])
    is_authors = _authors(use)
    parts = []
    for one in _chain(error):
        frames = [frame for frame in traceback.extract_tb(one.__traceback__) if not _is_runtimes(frame.filename)]
        own = [frame for frame in frames if is_authors(frame.filename)]
        parts.append("".join(traceback.format_list(own or frames) + traceback.format_exception_only(type(one), one)))
    text = CAUSE.join(reversed(parts))
    return {"kind": kind, "message": message, "trace": where + text[-(MAX_TRACE - len(where)) :]}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error`, and before it what it was raised from, or while what was handled; the last one first."""
    found: list[BaseException] = []
    one: Any = error
    while one is not None and len(found) < MAX_CHAIN and not any(one is other for other in found):
        found.append(one)
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _is_runtimes(file: str) -> bool:
    here = os.path.dirname(os.path.abspath(__file__)) + os.sep
    return file.startswith((here, "<frozen"))


def _authors(use: dict[str, Any]) -> Callable[[str], bool]:
    """What tells whether a file is the plugin author's."""
    if "source" in use:
        path: str = use["path"]
        return path.__eq__
    top = sys.modules.get(str(use.get("module", "")).partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is None:
        return lambda file: False
    if os.path.basename(file).startswith("__init__."):
        folder = os.path.dirname(file) + os.sep
        return lambda file: file.startswith(folder)
    return lambda other: bool(other == file)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_TEXT]
    except Exception as again:  # it is the plugin's own code that runs here
        return f"its text could not be made: {type(again).__name__}"
