"""What the engine raises. Each text is a sentence: what happened, to what, what to do next."""

from __future__ import annotations


class DouaneError(Exception):
    """Base of the engine's errors; `code` is for programs, `exit_code` for the command line."""

    code = "error"
    exit_code = 3


class PlanError(DouaneError):
    """The configuration or the command line is wrong; nothing has been read. Exit code 2."""

    code = "wrong-configuration"
    exit_code = 2


class SourceError(DouaneError):
    """The image could not be read, or changed while it was read."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class SinkError(DouaneError):
    """The image could not be written where it was to be kept."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)
