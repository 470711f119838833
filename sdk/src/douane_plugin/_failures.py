"""An exception as the operator is told it: the author's own frames, nothing of the runtime's."""

from __future__ import annotations

import os

from ._load import LoadError
from ._settings import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_TRACE = 16_000
MAX_TEXT = 1_000


def explain(error: BaseException, use: dict[str, Any]) -> dict[str, Any]:
    """The kind, message and trace of `error`; the trace has no frame of the runtime."""
    if isinstance(error, (LoadError, SettingError)):
        return {"kind": type(error).__name__, "message": str(error)[:MAX_TEXT], "trace": ""}
    import linecache
    import traceback

    if "source" in use:  # the file itself cannot be opened from inside the cage
        lines = use["source"].splitlines(keepends=True)
        linecache.cache[use["path"]] = (len(use["source"]), None, lines, use["path"])
    here = os.path.dirname(os.path.abspath(__file__)) + os.sep
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((here, "<frozen"))]
    text = "".join(traceback.format_list(own) + traceback.format_exception_only(type(error), error))
    return {"kind": type(error).__name__, "message": str(error)[:MAX_TEXT], "trace": text[-MAX_TRACE:]}
