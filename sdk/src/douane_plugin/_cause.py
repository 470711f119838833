"""The facts about an exception from which the engine judges whether the sandbox is its cause."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable, Iterable, Iterator, Optional

MAX_TEXT = 300
MAX_CALLS = 24

ENOENT, ENOMEM = 2, 12

_RAISE = "RAISE_VARARGS"
_NO_DATABASE = ("unable to open database file", "attempt to write a readonly database")
"""Texts of SQLite, whose exceptions have neither an error number nor a path."""

_NO_LIBRARY = "cannot open shared object file: No such file"


def find_cause(chain: Iterable[BaseException]) -> Optional[dict[str, Any]]:
    """Return the facts about the first exception of `chain` that a sandbox may cause; None if there is none.

    `error` is its class, `errno` and `path` those of the system call, `module` the module that was not found, and
    `calls` names of functions: those that were running, the innermost first, and those in the line that failed.
    """
    for error in chain:
        number, path = _system_error(error)
        module = _module(error)
        if number is None and module is None and not _lacks_thread(error) and not _lacks_database(error):
            continue
        return {
            "error": "MemoryError" if isinstance(error, MemoryError) else type(error).__name__,
            "errno": number,
            "path": _text(path),
            "module": _text(module),
            "calls": _calls(error),
        }
    return None


def _system_error(error: BaseException) -> tuple[Optional[int], Any]:
    """Return the number of the error and the path of a system call; None for what is not known."""
    if isinstance(error, MemoryError):  # also numpy's, which has a name of its own
        return ENOMEM, None
    if isinstance(error, (OSError, ImportError)) and _NO_LIBRARY in str(error):
        return ENOENT, str(error).partition(":")[0]  # dlopen(3) has a text only
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return error.errno, error.filename
    return None, None


def _lacks_thread(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and "start new thread" in str(error)


def _lacks_database(error: BaseException) -> bool:
    return type(error).__name__ == "OperationalError" and any(text in str(error) for text in _NO_DATABASE)


def _module(error: BaseException) -> Optional[str]:
    """Return the module that was not found; ``"."`` for one that was named relative to the plugin's own file."""
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        return "."
    return error.name if isinstance(error, ModuleNotFoundError) else None


def _text(value: Any) -> Optional[str]:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:MAX_TEXT] if isinstance(value, str) else None


def _calls(error: BaseException) -> list[str]:
    import linecache
    import re

    frames = list(_frames(error))
    if not frames:
        return []
    names = [frame.f_code.co_name for frame, _, _ in reversed(frames[-8:])]
    if _NO_LIBRARY in str(error):
        names.insert(0, "dlopen")
    frame, line, _ = frames[-1]
    text = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)[:MAX_TEXT]
    for call in re.findall(r"([A-Za-z_][\w.]*)\s*\(", text):
        names += call.split(".")
    return [name[:64] for name in dict.fromkeys(names)][:MAX_CALLS]


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int, int]]:
    """Yield the frames of the traceback, the outermost first: the frame, the line, and the place of its instruction."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno, trace.tb_lasti
        trace = trace.tb_next


def is_bug(error: BaseException, is_authors: Callable[[str], bool]) -> bool:
    """Return True if `error`, of a constructor, is a TypeError that no author has raised to refuse the configuration.

    An author refuses with a `raise` in a file of the plugin (`is_authors`). The others come from the interpreter or
    from a library that was called with a wrong type.
    """
    if type(error) is not TypeError:
        return False
    frames = list(_frames(error))
    if not any(is_authors(frame.f_code.co_filename) for frame, _, _ in frames):
        return False  # the call of the constructor itself
    frame, _, instruction = frames[-1]
    return not is_authors(frame.f_code.co_filename) or not _raises(frame.f_code.co_code, instruction)


def _raises(code: bytes, instruction: int) -> bool:
    from opcode import opmap

    return 0 <= instruction < len(code) and code[instruction] == opmap[_RAISE]
