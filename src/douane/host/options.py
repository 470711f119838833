"""The options of one run that are neither the plan nor the image."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from douane.sandbox import Tier
from douane.stream.sink import Sink

from .log import INFO, LogLine
from .parked_process import ParkedProcess
from .pool import ProcessPool

Progress = Callable[[int, int | None], None]
"""Called about ten times a second with the bytes received and the size of the image (None: unknown). What it raises
ends the run."""

Watch = Callable[[str | None], None]
"""Called about ten times a second with the plugin that holds up the image, or None."""


def ignore_log(plugin: str, level: int, text: str) -> None:
    """Drop a log line."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an inspection."""

    tier: Tier | None = None
    """The sandbox tier; None is the best that this host supports, not below the plan's minimum."""

    emit: LogLine = ignore_log
    """Receives what plugins print and log."""

    progress: Progress | None = None
    watch: Watch | None = None
    pool: ProcessPool[ParkedProcess] | None = None
    """The processes of earlier images in this thread that may serve another one. Without it, none does."""

    in_place: Sink | None = None
    """The file of an :class:`~douane.stream.in_place.InPlaceSource`, which plugins read instead of a copy."""

    log_level: int = INFO
    """The lowest level that plugins log, as in the logging module."""
