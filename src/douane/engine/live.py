"""An inspection in a thread of its own, for an image that is sent piece by piece."""

from __future__ import annotations

import threading

from douane.declared import DeclaredImage
from douane.errors import DouaneError
from douane.host.options import RunOptions
from douane.plan.model import Plan
from douane.report import Report
from douane.stream.push_source import PushSource
from douane.stream.sink import Sink

from .inspect import DEFAULTS, inspect_image


class Inspection:
    """One image on its way through `plan`. Always end it: `finish` or `abort`.

    `write` raises :class:`RunEnded` when the outcome stands before the end; `result` returns it then, too.
    `name` and `size` are those of the image, in messages and as it was announced.
    """

    def __init__(
        self,
        plan: Plan,
        image: DeclaredImage,
        options: RunOptions = DEFAULTS,
        *,
        name: str = "the image",
        size: int | None = None,
        sink: Sink | None = None,
    ) -> None:
        self._source = PushSource(name, size)
        self._report: Report | None = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._report = inspect_image(plan, image, self._source, sink, options)
            except BaseException as error:  # whatever it is, `result` raises it
                self._error = error
                self._source.close()

        self._thread = threading.Thread(target=run, name="douane-inspection", daemon=True)
        self._thread.start()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand over the next bytes; waits for the slowest plugin. Raises RunEnded."""
        self._source.write(data)

    def finish(self) -> Report:
        """All bytes have been written: wait for the outcome. Raises as :func:`inspect_image` does."""
        self._source.finish()
        return self.result()

    def abort(self, reason: str) -> None:
        """End the inspection, whose sender is gone, and wait for its end. Idempotent, safe after the end."""
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
