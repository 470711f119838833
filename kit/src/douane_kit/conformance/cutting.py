"""Compare the answers to the same bytes, cut in different ways, and at the borders of the plugin's own windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from douane_plugin.testing import Cuts as SdkCuts
from douane_plugin.testing._cuts import cuts_of, ways

from . import images
from .cases import Case, Cuts, Outcome, Trial, differ
from .minimise import minimise
from .runner import Runner
from .words import Words

SECONDS = 12.0
WINDOW_SECONDS = 6.0
MAX_CUTS = 1000

Difference = tuple[Case, Outcome, Case, Outcome]
"""The whole image and its outcome, the cut one and its outcome."""


class Cutting:
    """Looks for two ways of cutting one image that get different answers."""

    def __init__(self, runner: Runner, words: Words, seed: int, effort: float) -> None:
        self._runner = runner
        self._words = words
        self._seed = seed
        self._effort = effort
        self.count = 0
        self.trials: list[Trial] = []
        """The outcomes of all cut images, to be judged one by one."""

    def check(self, corpus: Sequence[Trial]) -> Difference | None:
        """Cut the images of `corpus`, and some others; return the first difference."""
        until = self._runner.spent + SECONDS * self._effort
        cases = [(case, outcome.kind) for case, outcome in corpus if not outcome.is_gone]
        cases += [(Case(data, facts=self._runner.usual), "accepted") for data in self._images()]
        cases.sort(key=lambda pair: (len(pair[0].data) > 4096, pair[1] == "accepted", len(pair[0].data)))
        for case, _ in cases:
            if self._runner.spent > until:
                break
            if (difference := self._compare(case)) is not None:
                return difference
        return None

    def _images(self) -> list[bytes]:
        """Return images that are worth cutting for every plugin."""
        text = b"root:x:0:0:root:/root:/bin/sh\nkey = value\n\n# comment\n" * 8
        tokens = self._words.tokens
        joined = b"\n".join(tokens[:40])
        filled = [images.filler(size, self._seed) for size in (64, 700, 6000, 200_000)]
        built = [joined, joined * 3, bytes(2000) + joined + filled[1] * 4, bytes(90_000) + joined + filled[3]]
        # A constant far from the end of a long chunk: a plugin that keeps only a part of the chunk misses it.
        distant = [token + b"." * 300_000 for token in tokens[:4]]
        return [b"\0\x01\xff", *filled, bytes(700), b"\xff" * 40, text, *built, *distant]

    def _compare(self, case: Case) -> Difference | None:
        uncut = dataclasses.replace(case, cuts=0, trace=False)
        expected = self._runner.run_one(uncut)
        if expected.is_gone:
            return None
        cases = [dataclasses.replace(uncut, cuts=cuts) for cuts in self._ways(case.data)]
        for cut, outcome in zip(cases, self._runner.run(cases), strict=True):
            self.count += 1
            self.trials.append((cut, outcome))
            if differ(expected, outcome):
                return uncut, expected, cut, outcome
        return None

    def _ways(self, data: bytes) -> list[Cuts]:
        size = len(data)
        near = set(self._words.offsets)
        for token in self._words.tokens[:40]:
            start = data.find(token) if len(token) > 1 else -1
            if start >= 0:
                near |= {*range(start, start + len(token), 16), start + len(token)}
        chosen: list[Cuts] = []
        for chunks, seed in ways(size, near, self._seed):
            if isinstance(chunks, int):
                chosen.append(chunks)
            elif isinstance(chunks, SdkCuts):
                chosen.append(chunks.offsets)
            elif chunks is not None:
                offsets = cuts_of(chunks, seed, size)
                if len(offsets) < MAX_CUTS:
                    chosen.append(tuple(offsets))
        return chosen

    def minimise(self, difference: Difference) -> Difference:
        """Return the smallest image, and the fewest cuts, that still get two answers."""

        def holds(cases: list[Case]) -> list[bool]:
            pairs = [variant for case in cases for variant in (dataclasses.replace(case, cuts=0), case)]
            outcomes = self._runner.run(pairs)
            return [differ(*outcomes[index : index + 2]) for index in range(0, len(outcomes), 2)]

        cut, _ = minimise(difference[2], holds)
        uncut = dataclasses.replace(cut, cuts=0)
        first, second = self._runner.run([uncut, cut])
        return (uncut, first, cut, second) if differ(first, second) else difference


class Windows:
    """Looks for a text that is refused everywhere but across the border of two windows of the plugin's own."""

    def __init__(self, runner: Runner, words: Words) -> None:
        self._runner = runner
        self._words = words
        self.count = 0

    def check(self, head: int | None) -> tuple[Difference, int] | None:
        """Return a text inside a window and across a border, with the outcomes, and the size of the window; or None."""
        until = self._runner.spent + WINDOW_SECONDS
        sizes = {number for number in self._words.numbers if 16 <= number <= 4 << 20} | {1 << 16, 1 << 20}
        for token in self._searched():
            for size in sorted(sizes, reverse=True)[:8]:
                if self._runner.spent > until:
                    return None
                if head is None or 3 * size + 700 < head:
                    difference = self._across(token, size)
                    if difference is not None:
                        return difference, size
        return None

    def _run(self, token: bytes, offsets: Sequence[int], size: int) -> list[Trial]:
        cases = []
        for offset in offsets:
            data = bytearray(b"." * size)
            data[offset : offset + len(token)] = token
            cases.append(Case(bytes(data), facts=self._runner.usual))
        self.count += len(cases)
        return list(zip(cases, self._runner.run(cases), strict=True))

    def _searched(self) -> list[bytes]:
        """Return constants that are refused at any offset, the longest first."""
        searched = []
        plain = self._runner.run_one(Case(b"." * 1500, facts=self._runner.usual))
        for token in [token for token in self._words.tokens if 2 <= len(token) <= 256][:80]:
            verdicts = {outcome.verdict for _, outcome in self._run(token, (13, 377, 1021), 1500)}
            if len(verdicts) == 1 and plain.verdict not in verdicts and next(iter(verdicts))[0] == "refused":
                searched.append(token)
        return sorted(searched, key=len, reverse=True)[:4]

    def _across(self, token: bytes, window: int) -> Difference | None:
        size = 2 * window + 600
        inside = (max(0, window // 2 - len(token)), window + len(token) + 77)
        (uncut, first), (_, second) = self._run(token, inside, size)
        if first.kind != "refused" or first.verdict != second.verdict:
            return None
        step = max(1, len(token) // 8)
        across = [window - distance for distance in range(1, len(token), step) if window >= distance]
        for case, outcome in self._run(token, across, size):
            if outcome.kind == "accepted":
                return uncut, first, case, outcome
        return None
