"""The events of a run besides those of its plugin processes: ends of streams, files, time."""

from __future__ import annotations

from douane.errors import DouaneError
from douane.host.events import Event


class RunStarted(Event, frozen=True):
    """The image is there; `size` is its length in bytes, None if that is not known."""

    size: int | None


class SourceEnded(Event, frozen=True):
    """All of the image has been received, or it could not be."""

    error: DouaneError | None


class OutputEnded(Event, frozen=True):
    """The output of the transform that ends `stage` is at its end, or could not be taken."""

    stage: int
    error: DouaneError | None


class FilePassedOn(Event, frozen=True):
    """The file of `stage` has been read into the ring of the next stage, or could not be."""

    stage: int
    error: DouaneError | None


class FileWritten(Event, frozen=True):
    """All that `stage` reads, `size` bytes, is in its file."""

    stage: int
    size: int


class SpoolFailed(Event, frozen=True):
    """The file of `stage`, which is needed only by plugins that read at random, could not be written."""

    stage: int
    error: DouaneError


class ReaderEnded(Event, frozen=True):
    """A digest is complete, or a reader of the engine's own has failed."""

    error: DouaneError | None


class AllRead(Event, frozen=True):
    """All of the image has arrived where it is stored, and is digested and written."""


class RingFull(Event, frozen=True):
    """Nothing more fits into the pinned ring of `stage`; `idle`: its transform has let go of all of it."""

    stage: int
    idle: bool


class Tick(Event, frozen=True):
    """So many seconds have passed since the last one."""

    seconds: float
