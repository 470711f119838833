"""One of the places that a run writes the stored bytes to."""

from __future__ import annotations

from douane.errors import DouaneError

from .sink import Sink


class Target:
    """A sink for the stored bytes: what the last stage of a run reads, so what its last transform has made.

    Every target of a run receives the same bytes from the same ring. The failure of a `required` target ends the run.
    One that is not required is detached when it fails: the run goes on without it, unless no target remains. Without a
    `spare` target, too: another place has the bytes already.
    """

    def __init__(self, sink: Sink, *, required: bool = True, spare: bool = False) -> None:
        self.sink = sink
        self.required = required
        self.spare = spare
        self.error: DouaneError | None = None
        """Why it does not hold the stored bytes, if it failed."""

        self.size: int | None = None
        """The number of bytes that it holds, when it holds all of them durably; None before."""
