"""What the image says of itself raises three kinds of exceptions in `douane_guest`. Here each is listed as unread, and
becomes :class:`Incomplete`, the answer of a plugin that does not catch it. One that does is asked about the list at its
end."""

from __future__ import annotations

from ._exceptions import Incomplete
from ._guest_facts import UnreadPart, part_text, unread_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Faults:
    """The parts of a guest that could not be read, and how many of them the plugin has been shown."""

    def __init__(self, parts: Any, errors: Any) -> None:
        self.errors = errors
        """The base of the exceptions of `douane_guest`."""

        self._parts = parts
        self._shown = 0

    def incomplete(self, place: str, error: Any) -> Incomplete:
        """List a part at which a reader stopped, and return the exception for the plugin."""
        self._parts.add_error(place, error)
        return Incomplete(error.code, part_text(place, error.why))

    def show(self) -> tuple[UnreadPart, ...]:
        """Return all parts: the plugin asks for them."""
        parts = self._all()
        self._shown = len(parts)
        return parts

    def check_shown(self) -> None:
        """Raise Incomplete if the plugin has not been shown all parts."""
        if len(self._parts) > self._shown:
            raise unread_answer(self._all()[self._shown :])

    def _all(self) -> tuple[UnreadPart, ...]:
        return tuple([UnreadPart(part.where, part.code, part.why) for part in self._parts])
