"""Check the output of a transform: it must be complete, and an image that was cut short must not go unnoticed."""

from __future__ import annotations

from collections.abc import Sequence

from . import images
from .cases import NOTHING_DECLARED, Case, Facts, Outcome
from .findings import Finding, show_image
from .runner import Runner
from .subject import Subject

OUTPUT_BYTES = 1 << 20
TAIL_SIZES = (1, 100, 511, 513, 1000, 4095, 4097, 65535, 65537, 100_003, 300_001)


class Transforming:
    """Runs a transform on images whose output is known."""

    def __init__(self, runner: Runner, subject: Subject, seed: int) -> None:
        self._runner = runner
        self._subject = subject
        self._seed = seed
        self.count = 0

    def check(self, formats: Sequence[Facts]) -> Finding | None:
        """Return the first finding, or None. `formats` are declared facts to try besides the usual ones."""
        for facts in (self._runner.usual, NOTHING_DECLARED, *formats):
            if finding := self._tail(facts) or self._containers(facts):
                return finding
        return None

    def _outputs(self, cases: Sequence[Case]) -> list[tuple[Case, Outcome, bytes]]:
        self.count += len(cases)
        cases = [self._subject.possible(case) for case in cases]
        trials = zip(cases, self._runner.run(cases), strict=True)
        accepted = [
            (case, outcome) for case, outcome in trials if outcome.kind == "accepted" and not outcome.is_unchanged
        ]
        return [(case, outcome, bytes.fromhex(outcome.output)) for case, outcome in accepted]

    def _tail(self, facts: Facts) -> Finding | None:
        """Look for a last part that is never yielded, in bytes without a pattern."""
        cases = [Case(images.filler(size, self._seed + size), 4096, facts, output=OUTPUT_BYTES) for size in TAIL_SIZES]
        short = [
            (case, outcome, output)
            for case, outcome, output in self._outputs(cases)
            if len(output) < len(case.data) and case.data.startswith(output)
        ]
        # A transform that removes a trailer of fixed length loses the same number of bytes each time, and refuses an
        # image that is shorter than that.
        lost = {len(case.data) - len(output) for case, _, output in short}
        if len(lost) < 2 or all(output for _, _, output in short):
            return None
        case, outcome, output = short[0]
        text = f"of {len(case.data)} bytes without a pattern it yields {len(output)}, and is silent about the rest"
        return _finding("loses-bytes", text, case, outcome)

    def _containers(self, facts: Facts) -> Finding | None:
        content = images.payload(self._seed)
        for name, data in images.containers(self._seed):
            outputs = self._outputs([Case(data, cuts, facts, output=OUTPUT_BYTES) for cuts in (0, 4096)])
            if not outputs:
                continue
            case, outcome, output = outputs[0]
            if output != content:
                if content.startswith(output) and (output or name in ("gzip", "zlib")):
                    text = (
                        f"of a {name} file with {len(content)} bytes it makes {len(output)}, and is silent about that"
                    )
                    return _finding("loses-bytes", text, case, outcome, f"a {name} file")
                continue
            cut = [data[: len(data) * tenths // 10] for tenths in (3, 5, 7, 9)]
            for case, outcome, output in self._outputs([Case(d, 4096, facts, output=OUTPUT_BYTES) for d in cut]):
                if len(output) < len(content) and content.startswith(output):
                    text = (
                        f"of a {name} file that ends after {len(case.data)} of {len(data)} bytes it makes an image of "
                        f"{len(output)} bytes, and is silent about that"
                    )
                    recipe = f"the first {len(case.data)} bytes of a {name} file"
                    return _finding("short-image", text, case, outcome, recipe)
        return None


def _finding(code: str, text: str, case: Case, outcome: Outcome, recipe: str = "") -> Finding:
    return Finding(code, text, show_image(case, recipe), (outcome.describe(),), "", "same", lambda: (case,))
