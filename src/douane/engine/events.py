"""The events of a run besides those of its plugin processes: ends of streams, files, time."""

from __future__ import annotations

from douane.errors import DouaneError
from douane.host.events import Event


class RunStarted(Event, frozen=True):
    """The image has arrived; `size` is its length in bytes, None if unknown."""

    size: int | None


class SourceEnded(Event, frozen=True):
    """The source has ended, or failed with `error`."""

    error: DouaneError | None


class OutputEnded(Event, frozen=True):
    """The output of the transform of `stage` has ended, or failed with `error`."""

    stage: int
    error: DouaneError | None


class FilePassedOn(Event, frozen=True):
    """The file of `stage` was copied into the ring of the next stage, or the copy failed with `error`."""

    stage: int
    error: DouaneError | None


class FilesEnded(Event, frozen=True):
    """The output of the reader of files of `stage` has ended after `size` bytes, or failed with `error`."""

    stage: int
    error: DouaneError | None
    size: int


class FileWritten(Event, frozen=True):
    """The file of `stage` is complete, with `size` bytes."""

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
    """The pinned ring of `stage` is full; `idle`: its transform has read all of it."""

    stage: int
    idle: bool


class Tick(Event, frozen=True):
    """`seconds` have passed since the last tick."""

    seconds: float
