"""What an inspector of files has come upon, and the one answer that follows from it."""

from __future__ import annotations

from douane_plugin import Incomplete, Reject
from douane_plugin._json import dumps
from douane_plugin._units import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    class Answering(Protocol):
        """The plugin that answers."""

        def attach(self, name: str, document: Any) -> None:
            """Attach a document to the answer."""

        def warn(self, code: str, message: str) -> None:
            """Tell the tenant."""


REFUSE, WARN, NOTE, ALLOW = "refuse", "warn", "note", "allow"
SEVERITIES = (REFUSE, WARN, NOTE)
"""What a match means: the image is refused; the tenant is warned; it is in the report alone."""

INCOMPLETE = "incomplete"
UNREAD = (INCOMPLETE, WARN)
"""The words of the setting `unread`, which all inspectors have: what follows from a gap."""

MAX_SHOWN = 10
"""Places in a message for the tenant."""

MAX_LISTED = 400
"""Entries of the attached document, and of the list of what was not looked at."""

ROOM = 100 << 10
"""Bytes of JSON for each of these two lists: all documents of an answer have 256 KiB."""

ENTRY_BYTES = 40
"""What the names of a gap's members add."""

MAX_WARNINGS = 50
MAX_PLACE = 300
"""Characters of a path in a message."""


class Judgement:
    """Matches and gaps, each with a code, a place and a sentence. A gap is something that was not looked at."""

    def __init__(self, plugin: Answering, document: str, unread: str = INCOMPLETE, room: int = ROOM) -> None:
        """`document` is the name under which all of it is attached to the answer, `room` the bytes of each of its
        lists. `unread` is one of `UNREAD`."""
        self._plugin = plugin
        self._document = document
        self._warns_of_gaps = unread == WARN
        self._matches: list[tuple[str, str, str, str]] = []
        self._listed: list[dict[str, Any]] = []
        self._room = {"matches": room, "gaps": room}
        self.counts = dict.fromkeys(SEVERITIES, 0)
        self._gaps: list[tuple[str, str, str]] = []
        self._gap_count = 0

    def match(self, severity: str, code: str, place: str, sentence: str, **facts: Any) -> None:
        """Record a match; `facts` are for the operator."""
        self.counts[severity] += 1
        if not self._is_full():
            entry = {"severity": severity, "code": code, "place": shown_place(place), **facts}
            if self._fits("matches", entry):
                self._listed.append(entry)
        if self.counts[severity] <= MAX_WARNINGS:
            self._matches.append((severity, code, place, sentence))

    def only_counts(self, severity: str) -> bool:
        """True if another match of this severity would only be counted."""
        return self.counts[severity] >= MAX_WARNINGS and self._is_full()

    def _is_full(self) -> bool:
        return self._room["matches"] <= 0 or len(self._listed) >= MAX_LISTED

    def gap(self, code: str, place: str, why: str) -> None:
        """Record something that was not looked at, so that the image is not clean; or of which the tenant is warned."""
        if self._warns_of_gaps:
            self.match(WARN, code, place, f"could not be looked at: {why[:MAX_PLACE]}")
            return
        self._gap_count += 1
        gap = (code, shown_place(place), why[:MAX_PLACE])
        if not self._gaps or (len(self._gaps) < MAX_LISTED and self._fits("gaps", gap)):
            self._gaps.append(gap)

    def _fits(self, kind: str, entry: object) -> bool:
        if self._room[kind] > 0:
            self._room[kind] -= len(dumps(entry)) + ENTRY_BYTES
        return self._room[kind] > 0

    def gaps(self, parts: Iterable[Any]) -> None:
        """The same for the unread parts of an image."""
        for part in parts:
            self.gap(part.code, part.place, part.why)

    def answer(self, properties: dict[str, str | int]) -> dict[str, str | int]:
        """Return the properties of an image that is accepted. Raises Reject for matches, Incomplete for gaps."""
        self._attach()
        refusals = [match for match in self._matches if match[0] == REFUSE]
        if refusals:
            raise Reject(refusals[0][1], self._refusal(refusals))
        if self._gaps:
            code, place, why = self._gaps[0]
            more = f" and {number_of(self._gap_count - 1, 'more part')}" if self._gap_count > 1 else ""
            raise Incomplete(code, f"{place}{more} could not be looked at: {why}")
        self._warn()
        return {**properties, "warnings": self.counts[WARN], "notes": self.counts[NOTE]}

    def _attach(self) -> None:
        document: dict[str, Any] = {"matches": self._listed, "counts": self.counts}
        if self._gaps:
            gaps = [{"code": code, "place": place, "why": why} for code, place, why in self._gaps]
            document |= {"not_looked_at": gaps, "not_looked_at_count": self._gap_count}
        if self._listed or self._gaps:
            self._plugin.attach(self._document, document)

    def _refusal(self, refusals: list[tuple[str, str, str, str]]) -> str:
        shown = "; ".join(f"{shown_place(place)}: {sentence}" for _, _, place, sentence in refusals[:MAX_SHOWN])
        more = self.counts[REFUSE] - min(len(refusals), MAX_SHOWN)
        return shown + (f"; and {more} more" if more > 0 else "")

    def _warn(self) -> None:
        warnings = [match for match in self._matches if match[0] == WARN]
        for _, code, place, sentence in warnings:
            self._plugin.warn(code, f"{shown_place(place)}: {sentence}")
        if self.counts[WARN] > len(warnings):
            self._plugin.warn(warnings[-1][1], f"and {self.counts[WARN] - len(warnings)} more")


def check_unread(word: object) -> str:
    """The setting `unread`. Raises ValueError."""
    if word not in UNREAD:
        raise ValueError(f"'unread' is one of {', '.join(UNREAD)}, not {word!r:.60}")
    return str(word)


def shown_place(place: str) -> str:
    """A path for people, on one line, and not too long: names in an image may hold anything."""
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in place)
    return text if len(text) <= MAX_PLACE else "..." + text[-MAX_PLACE:]
