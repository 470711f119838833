"""The smallest case that shows a fault: fewer cuts, fewer bytes, simpler declared facts, zeros."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

from .cases import NOTHING_DECLARED, USUAL, Case, cut_offsets

SECONDS = 5.0
MAX_CASES = 1500
CANDIDATES = 120

Holds = Callable[[list[Case]], list[bool]]
"""Returns for each case whether it shows the fault."""


def minimise(case: Case, holds: Holds) -> tuple[Case, int]:
    """Return the smallest case found for which `holds`, and how many were tried."""
    until = time.monotonic() + SECONDS
    count = 0
    steps = (_simpler, _fewer_cuts, _shorter, _zeroed)
    while True:
        smallest = case
        for step in steps:
            while count < MAX_CASES and time.monotonic() < until:
                candidates = [smaller for smaller in step(case) if smaller != case][:CANDIDATES]
                count += len(candidates)
                better = next((c for c, shows in zip(candidates, holds(candidates), strict=True) if shows), None)
                if better is None:
                    break
                case = better
        if case == smallest or count >= MAX_CASES or time.monotonic() > until:
            return case, count


def _simpler(case: Case) -> Iterator[Case]:
    facts = case.facts
    if facts in (USUAL, NOTHING_DECLARED):
        return
    yield dataclasses.replace(case, facts=USUAL)
    for pair in facts.properties if len(facts.properties) > 1 else ():
        yield dataclasses.replace(case, facts=dataclasses.replace(facts, properties=(pair,)))


def _fewer_cuts(case: Case) -> Iterator[Case]:
    offsets = tuple(cut_offsets(case.cuts, len(case.data)))
    if len(offsets) < 2:
        return
    step = max(1, len(offsets) // 16)
    for offset in offsets[::step]:
        yield dataclasses.replace(case, cuts=(offset,))
    half = len(offsets) // 2
    for fewer in (offsets[:half], offsets[half:]):
        yield dataclasses.replace(case, cuts=fewer)
    for index in range(0, len(offsets), step):
        yield dataclasses.replace(case, cuts=offsets[:index] + offsets[index + step :])


def _shorter(case: Case) -> Iterator[Case]:
    size = len(case.data)
    if not case.cuts:
        for length in sorted({0, 1, 2, 4, 8, size // 16, size // 4, size // 2, size * 3 // 4, size - 16, size - 1}):
            if 0 <= length < size:
                yield _without(case, length, size)
                yield _without(case, 0, size - length)
    for parts in (2, 4, 8, 16, 64):
        step = max(1, size // parts)
        for start in range(0, size, step):
            yield _without(case, start, min(size, start + step))
        if step == 1:
            return


def _without(case: Case, start: int, end: int) -> Case:
    """Return `case` without the bytes from `start` to `end`, and with the cuts moved."""
    cuts = case.cuts
    if not isinstance(cuts, int):
        moved = [offset if offset <= start else max(start, offset - (end - start)) for offset in cuts]
        cuts = tuple(sorted({offset for offset in moved if offset > 0}))
    return dataclasses.replace(case, data=case.data[:start] + case.data[end:], cuts=cuts)


def _zeroed(case: Case) -> Iterator[Case]:
    size = len(case.data)
    for parts in (1, 2, 4, 8, 16):
        step = max(1, -(-size // parts))
        for start in range(0, size, step):
            end = min(size, start + step)
            if case.data[start:end].strip(b"\0"):
                zeros = bytes(end - start)
                yield dataclasses.replace(case, data=case.data[:start] + zeros + case.data[end:])
        if step == 1:
            return
