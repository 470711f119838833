"""Which kind of work a worker does next."""

from __future__ import annotations

from collections.abc import Callable


class Turns:
    """Kinds of work, each a function that does one piece of it if there is one.

    What was done last has its turn last, so that an endless line of uploads does not hold up the queue.
    """

    def __init__(self, *kinds: Callable[[], bool]) -> None:
        self._kinds = list(kinds)

    def take(self) -> bool:
        """Do one piece of work; False if there is none."""
        for kind in list(self._kinds):
            if kind():
                self._kinds.remove(kind)
                self._kinds.append(kind)
                return True
        return False
