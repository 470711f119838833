"""The log of `douane serve`: one line an event on standard error, as text, or as JSON for programs.

What an event knows beside its sentence is passed as ``extra`` to the standard library's loggers. Two names are kept
apart: `tenant` is what a client was told, and `operator` is what only the operator may read.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

VARIABLE = "DOUANE_LOG_FORMAT"
"""The environment variable by which the processes of a service know the format: ``text`` or ``json``."""

FORMATS = ("text", "json")


def configure_log(process: str) -> None:
    """Log everything of Douane, and the warnings of other packages. `process` names this process in each line."""
    import structlog

    def name_process(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event["process"] = process
        # A path and a plugin's sentence are others' words: they cannot begin a line of their own.
        event["event"] = "".join(letter if letter.isprintable() else "\ufffd" for letter in str(event["event"]))
        return event

    json = os.environ.get(VARIABLE) == "json"
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        name_process,
    ]
    last: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)]
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *last]))
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("douane").setLevel(logging.INFO)
