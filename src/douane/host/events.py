"""The events that a plugin process posts into the loop. Facts only: what follows from them is decided elsewhere."""

from __future__ import annotations

import msgspec

from douane.report import Verdict

from .messages import Needs


class Event(msgspec.Struct, frozen=True):
    """Base of all events."""


class PluginReady(Event, frozen=True):
    """The plugin `plugin` waits for its image; `misjudged` if it is of another kind than it was started as."""

    plugin: str
    needs: Needs
    misjudged: bool = False
    reads_findings: bool = False
    """It gets its image when all earlier plugins have answered."""


class TransformDecided(Event, frozen=True):
    """The transform `plugin` leaves the image `unchanged`, or makes a new one of the formats in `becomes`."""

    plugin: str
    unchanged: bool
    becomes: dict[str, str] = {}


class PluginAnswered(Event, frozen=True):
    """There is a verdict of the plugin, its own or about its failure. `becomes` as for TransformDecided."""

    plugin: str
    verdict: Verdict
    becomes: dict[str, str] = {}
    looked_until: int | None = None
    """A plugin that reads files has accepted, and says that it knows what of the image could not be read: the bytes of
    records that it had been sent then. None if it does not say so."""


class AuditorOverrun(Event, frozen=True):
    """The ring went on without the auditor `plugin`, which was too slow."""

    plugin: str
