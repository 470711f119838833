"""The fixed, smaller size of long tests: `make test` runs a part of their cases, and `make test-all` all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

ALL = os.environ.get("DOUANE_TESTS") == "all"
T = TypeVar("T")


def part(cases: Sequence[T], every: int) -> list[T]:
    """The first of `cases`, and each `every`-th after it; all with DOUANE_TESTS=all."""
    return list(cases)[:: 1 if ALL else every]
