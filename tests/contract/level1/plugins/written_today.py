from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from douane_plugin import Inspector


class WrittenToday(Inspector):
    """Annotations that are texts, and the unions of Python 3.10."""

    reads = "nothing"

    def __init__(
        self,
        number: int | None,
        either: str | list[int],
        names: Sequence[str],
        table: Mapping[str, int | float],
        how: Literal["fast"] | None = None,
    ) -> None:
        self.given = (number, either, names, table, how)

    def inspect(self, image):
        return {"given": repr(self.given)}
