"""What a transform makes: all of it, and nothing of it unnoticed where the image was cut short."""

from __future__ import annotations

from collections.abc import Sequence

from . import images
from .cases import NOTHING_DECLARED, USUAL, Case, Facts, Outcome
from .driver_process import Runner
from .findings import Finding, show_image

KEPT = 1 << 20


class Transforming:
    """See the module."""

    def __init__(self, runner: Runner, seed: int) -> None:
        self._runner = runner
        self._seed = seed
        self.ran = 0

    def check(self, formats: Sequence[Facts]) -> Finding | None:
        """The first thing that is wrong."""
        for facts in (USUAL, NOTHING_DECLARED, *formats):
            if found := self._tail(facts) or self._containers(facts):
                return found
        return None

    def _made(self, cases: Sequence[Case]) -> list[tuple[Case, Outcome, bytes]]:
        self.ran += len(cases)
        outcomes = self._runner.run(cases)
        return [
            (case, outcome, bytes.fromhex(outcome.told.get("output_bytes", "")))
            for case, outcome in zip(cases, outcomes, strict=True)
            if outcome.kind == "accepted" and not outcome.told.get("unchanged")
        ]

    def _tail(self, facts: Facts) -> Finding | None:
        """Of bytes without any meaning: a last part that is never yielded, or nothing at all."""
        sizes = (1, 100, 511, 513, 1000, 4095, 4097, 65535, 65537, 100_003, 300_001)
        cases = [Case(images.filler(size, self._seed + size), 4096, facts, output=KEPT) for size in sizes]
        short = [
            (case, outcome, output)
            for case, outcome, output in self._made(cases)
            if len(output) < len(case.data) and case.data.startswith(output)
        ]
        # What takes a trailer of fixed length away loses the same number each time, and says no to what is shorter.
        lost = {len(case.data) - len(output) for case, _, output in short}
        empty = [entry for entry in short if not entry[2]]
        if len(lost) < 2 or not empty:
            return None
        case, outcome, output = short[0]
        what = f"of {len(case.data)} bytes without a pattern it yields {len(output)}, and says nothing of the rest"
        return Finding("loses-bytes", what, show_image(case), (outcome.describe(),))

    def _containers(self, facts: Facts) -> Finding | None:
        for name, data, inside in images.containers(self._seed):
            made = self._made([Case(data, cuts, facts, output=KEPT) for cuts in (0, 4096)])
            if not made:
                continue
            case, outcome, output = made[0]
            if output != inside:
                if len(output) < len(inside) and inside.startswith(output) and (output or name in ("gzip", "zlib")):
                    what = (
                        f"of a {name} file that holds {len(inside)} bytes it makes {len(output)}, and does not say so"
                    )
                    return Finding("loses-bytes", what, show_image(case, f"a {name} file"), (outcome.describe(),))
                continue
            cut = [data[: len(data) * part // 10] for part in (3, 5, 7, 9)]
            for case, outcome, output in self._made([Case(each, 4096, facts, output=KEPT) for each in cut]):
                if len(output) < len(inside) and inside.startswith(output):
                    what = (
                        f"of a {name} file that is cut short after {len(case.data)} of {len(data)} bytes it makes an "
                        f"image of {len(output)} bytes, and says nothing of it"
                    )
                    recipe = f"the first {len(case.data)} bytes of a {name} file"
                    return Finding("short-image", what, show_image(case, recipe), (outcome.describe(),))
        return None
