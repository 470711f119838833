"""An inspection beside the thread that sends the image: begun, fed, ended, and then there is a report."""

from __future__ import annotations

import logging
import threading

from douane import sandbox
from douane.declared import DeclaredImage
from douane.errors import DouaneError
from douane.host.log import LogLine
from douane.plan.plan import Plan
from douane.report import Report
from douane.stream.push_source import PushedSource
from douane.stream.sink import Sink

from .inspect import inspect_image


class Inspection:
    """One image on its way through `plan`, in a thread of its own. Always end it: `finish` or `abort`.

    `write` raises :class:`PassEnded` when the outcome stands before the end; `result` says what it is then, too.
    """

    def __init__(
        self,
        plan: Plan,
        declared: DeclaredImage,
        *,
        tier: sandbox.Tier,
        name: str = "the image",
        size: int | None = None,
        sink: Sink | None = None,
        emit: LogLine = lambda plugin, level, text: None,
        log_level: int = logging.INFO,
    ) -> None:
        self._source = PushedSource(name, size)
        self._report: Report | None = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._report = inspect_image(
                    plan, self._source, declared, tier=tier, sink=sink, emit=emit, log_level=log_level
                )
            except BaseException as error:  # whatever it is, who waits for the result is told
                self._error = error
                self._source.close()

        self._thread = threading.Thread(target=run, name="douane-inspection", daemon=True)
        self._thread.start()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand over the next bytes; waits for the slowest plugin. Raises PassEnded."""
        self._source.write(data)

    def finish(self) -> Report:
        """That was all: wait for the outcome. Raises as :func:`inspect_image` does."""
        self._source.finish()
        return self.result()

    def abort(self, reason: str) -> None:
        """The sender is gone: end it, and wait until nothing of it is left. Idempotent, safe after the end."""
        self._source.abort(reason)
        self._thread.join()

    def result(self) -> Report:
        """Wait for the outcome, which must be under way. Raises as :func:`inspect_image` does."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._report is None:
            raise DouaneError("the inspection ended without a report")
        return self._report
