"""self.log: a standard logger whose lines go to the engine. Imported when a plugin first logs."""

from __future__ import annotations

import logging

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._channel import Channel


class _ToEngine(logging.Handler):
    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # a format string and its arguments that do not match must not fail the image
            text = f"(a log line that cannot be formatted: {record.msg!r:.200})"
        self._channel.send_json(wire.LOG, {"level": record.levelno, "message": text[: wire.MAX_LOG_TEXT]})


def make_logger(name: str, level: int, channel: Channel) -> logging.Logger:
    """A logger named `name` that sends records of `level` and above to the engine."""
    logger = logging.Logger(name, level)  # not registered: two names must not share it
    logger.addHandler(_ToEngine(channel))
    return logger
