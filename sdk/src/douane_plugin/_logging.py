"""The logger behind `self.log`, which sends its records to the engine. Imported when a plugin first logs."""

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
        except Exception:  # a format string that does not match its arguments must not fail the image
            text = f"(a log line that cannot be formatted: {record.msg!r:.200})"
        self._channel.send_json(wire.LOG, {"level": record.levelno, "message": text[: wire.MAX_LOG_TEXT]})


def make_logger(name: str, level: int, channel: Channel) -> logging.Logger:
    """Return a logger named `name` that sends records of `level` and above to the engine."""
    logger = logging.Logger(name, level)  # not from getLogger: two plugins of one name must not share it
    logger.addHandler(_ToEngine(channel))
    return logger
