"""Turn an exception into text for the operator, with the frames of the author's own code."""

from __future__ import annotations

import os
import sys

from ._cause import find_cause
from ._load import LoadError
from ._settings import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

MAX_TRACE = 16_000
MAX_TEXT = 1_000
MAX_CHAIN = 5
"""Exceptions in the trace, of those that led to each other."""

CAUSE = "\nThat led to:\n"


def explain(
    error: BaseException, use: dict[str, Any], position: str = "", *, all_frames: bool = False, remedy: str = ""
) -> dict[str, Any]:
    """Return the kind, message and trace of `error`, with its `cause` if a sandbox may be the reason (`_cause`).

    The trace has the frames in the plugin's file or package, which `use` names, of `error` and of the exceptions that
    led to it. With `all_frames`, or if there is no such frame, or the plugin is not known, it has all frames but those
    of the runtime. `position` is put above it, and the number of frames that were left out, with the `remedy`.
    """
    kind, message = type(error).__name__, _text(error)
    if isinstance(error, (LoadError, SettingError)):
        return {"kind": kind, "message": message, "trace": ""}
    import linecache
    import traceback

    if "source" in use:  # the sandbox cannot open the file
        lines = use["source"].splitlines(keepends=True)
        linecache.cache[use["path"]] = (len(use["source"]), None, lines, use["path"])
    is_authors = authors_files(use)
    parts, hidden = [], 0
    for cause in _chain(error):
        frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if not _is_runtimes(frame.filename)]
        authors = [] if all_frames else [frame for frame in frames if is_authors(frame.filename)]
        hidden += len(frames) - len(authors) if authors else 0
        lines = traceback.format_list(authors or frames) + traceback.format_exception_only(type(cause), cause)
        parts.append("".join(lines))
    text = CAUSE.join(reversed(parts))
    if hidden:
        position += f"(frames of libraries that are left out: {hidden}{remedy})\n"
    explained = {"kind": kind, "message": message, "trace": position + text[-(MAX_TRACE - len(position)) :]}
    try:
        facts = find_cause(_chain(error))
    except Exception:  # __str__ and errno may be the plugin's own code
        facts = None
    return explained if facts is None else {**explained, "cause": facts}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error`, then the exception that it was raised from, or during the handling of, and so on."""
    chain: list[BaseException] = []
    cause: Any = error
    while cause is not None and len(chain) < MAX_CHAIN and not any(cause is earlier for earlier in chain):
        chain.append(cause)
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _is_runtimes(file: str) -> bool:
    package = os.path.dirname(os.path.abspath(__file__)) + os.sep
    return file.startswith((package, "<frozen"))


def authors_files(use: dict[str, Any]) -> Callable[[str], bool]:
    """Return a function that is True for the files of the plugin's author."""
    if "source" in use:
        beside = tuple(use.get("modules", {}).values())
        return lambda name: name == use["path"] or name.startswith(beside)
    module = str(use.get("module", ""))
    file = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None)
    if file is not None and not os.path.basename(file).startswith("__init__."):
        return lambda name: bool(name == file)
    if file is None:  # a package without an __init__ file may have many authors
        file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return lambda name: False
    folder = os.path.dirname(file) + os.sep
    return lambda name: name.startswith(folder)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_TEXT]
    except Exception as second:  # __str__ is the plugin's own code
        return f"its text cannot be shown: {type(second).__name__}"
