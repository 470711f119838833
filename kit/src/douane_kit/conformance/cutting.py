"""The same bytes, cut otherwise, must give the same answer."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator, Sequence

from . import images
from .cases import Case, Cuts, Outcome, cut_positions, cuts_at
from .dictionary import Dictionary
from .driver_process import Runner

SECONDS = 10.0
REST_SECONDS = 3.0
RANDOM_SECONDS = 5.0
EXAMPLES = 160
BYTEWISE = 8192

Mismatch = tuple[Case, Outcome, Case, Outcome]


class Cutting:
    """Finds two ways of cutting one image that are answered differently."""

    def __init__(self, runner: Runner, words: Dictionary, seed: int, effort: float) -> None:
        self._runner = runner
        self._words = words
        self._seed = seed
        self._effort = effort
        self.ran = 0
        self.examples = 0
        self.outcomes: list[tuple[Case, Outcome]] = []
        """What came of cut images, for whoever judges single outcomes."""

    def systematic(
        self, kept: Sequence[tuple[Case, Outcome]], others: Sequence[tuple[Case, Outcome]]
    ) -> Mismatch | None:
        """Try chosen cuts of all that was kept, smallest first, then a few of all else."""
        until = time.monotonic() + SECONDS * self._effort
        ordered = sorted(
            kept, key=lambda pair: (len(pair[0].data) > 4096, pair[1].kind == "accepted", len(pair[0].data))
        )
        for case, _ in ordered:
            if time.monotonic() > until:
                break
            if found := self._compare(case, list(self._cuts(case.data))):
                return found
        usual = _most_common(others)
        rest = [case for case, outcome in others if outcome.answer != usual and 1 < len(case.data) <= BYTEWISE]
        rest.sort(key=lambda case: len(case.data))
        return self._compare_many(rest, min(until, time.monotonic()) + REST_SECONDS * self._effort)

    def _compare_many(self, cases: Sequence[Case], until: float) -> Mismatch | None:
        for at in range(0, len(cases), 24):
            if time.monotonic() > until:
                return None
            wholes, cuts = [], []
            for case in cases[at : at + 24]:
                plain = dataclasses.replace(case, trace=False, sample=False, cuts=0)
                wholes.append(plain)
                cuts += [dataclasses.replace(plain, cuts=each) for each in (1, 3, *self._inside(case.data)[:2])]
            done = dict(zip(map(_key, wholes), self._runner.run(wholes), strict=True))
            for case, outcome in zip(cuts, self._runner.run(cuts), strict=True):
                self.ran += 1
                self.outcomes.append((case, outcome))
                whole = dataclasses.replace(case, cuts=0)
                if differ(done[_key(whole)], outcome):
                    return whole, done[_key(whole)], case, outcome
        return None

    def _compare(self, case: Case, cuts: Sequence[Cuts]) -> Mismatch | None:
        whole = dataclasses.replace(case, cuts=0, trace=False, sample=False)
        cases = [whole, *(dataclasses.replace(whole, cuts=each) for each in cuts)]
        reference = self._runner.one(whole)
        if reference.kind in ("hangs", "died"):
            return None
        for one, outcome in zip(cases[1:], self._runner.run(cases[1:]), strict=True):
            self.ran += 1
            self.outcomes.append((one, outcome))
            if differ(reference, outcome):
                return whole, reference, one, outcome
        return None

    def _cuts(self, data: bytes) -> Iterator[Cuts]:
        size = len(data)
        if size < 2:
            return
        if size <= BYTEWISE:
            yield 1
        for length in (2, 3, 5, 7, 16, 64, 100, 511, 512, 513, 1000, 4096, 1 << 16, (1 << 16) + 1):
            if length < size <= length * BYTEWISE:
                yield length
        yield (1,)
        yield (size - 1,)
        yield (size // 2,)
        for offset in self._words.offsets:
            if 0 < offset < size:
                yield (offset,)
        if size <= 96:
            yield from ((at,) for at in range(1, size))
        yield from self._inside(data)

    def _inside(self, data: bytes) -> list[Cuts]:
        """Cuts inside and around what the plugin may look for."""
        found: list[Cuts] = []
        seen: set[int] = set()
        for token in self._words.tokens:
            at = data.find(token) if len(token) > 1 else -1
            if at < 0 or at in seen:
                continue
            seen.add(at)
            end = at + len(token)
            step = max(1, len(token) // 24)
            found += [cuts_at([place]) for place in range(at + 1, end, step) if place < len(data)]
            found += [cuts_at([place, place + 1]) for place in range(at + 1, end - 1, step * 2)]
            found += [cuts_at([place]) for place in (at, end, end - 1) if 0 < place < len(data)]
            if len(found) > 160:
                break
        middle = len(found) // 2
        return [one for one in [*found[middle : middle + 1], *found] if one]

    def random(self, kept: Sequence[tuple[Case, Outcome]]) -> Mismatch | None:
        """Let hypothesis look for cuts, and shrink what it finds."""
        import hypothesis
        from hypothesis import strategies

        chosen = sorted({case.data for case, outcome in kept if 2 <= len(case.data) <= 1 << 14}, key=len)
        chosen = random.Random(self._seed).sample(chosen, min(len(chosen), 40)) if chosen else []
        chosen.sort(key=len)
        if not chosen:
            return None
        until = time.monotonic() + RANDOM_SECONDS * self._effort
        wholes: dict[bytes, Outcome] = {}
        found: list[Mismatch] = []

        @hypothesis.seed(self._seed)
        @hypothesis.settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            suppress_health_check=list(hypothesis.HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
            verbosity=hypothesis.Verbosity.quiet,
        )
        @hypothesis.given(
            strategies.sampled_from(chosen), strategies.lists(strategies.integers(1, 64), min_size=1, max_size=60)
        )
        def same(data: bytes, lengths: list[int]) -> None:
            if time.monotonic() > until:
                return
            self.examples += 1
            whole = Case(data)
            if data not in wholes:
                wholes[data] = self._runner.one(whole)
            case = Case(data, tuple(lengths))
            outcome = self._runner.one(case)
            self.outcomes.append((case, outcome))
            if differ(wholes[data], outcome):
                found.append((whole, wholes[data], case, outcome))
                raise AssertionError

        try:
            same()
        except AssertionError:
            pass
        except hypothesis.errors.Flaky:
            pass  # it depends on more than cuts: other checks tell that
        return found[-1] if found else None

    def shrink(self, mismatch: Mismatch, budget: int = 400) -> Mismatch:
        """The smallest image, and the fewest cuts, that are answered in two ways."""
        best = mismatch
        used = 0

        def improves(candidates: list[tuple[bytes, list[int]]]) -> bool:
            nonlocal best, used
            wholes = [dataclasses.replace(best[0], data=data, cuts=0) for data, _ in candidates]
            cuts = [dataclasses.replace(best[0], data=data, cuts=cuts_at(positions)) for data, positions in candidates]
            used += len(candidates)
            mixed = [case for pair in zip(wholes, cuts, strict=True) for case in pair]
            outcomes = self._runner.run(mixed)
            for at in range(0, len(mixed), 2):
                if differ(outcomes[at], outcomes[at + 1]):
                    best = (mixed[at], outcomes[at], mixed[at + 1], outcomes[at + 1])
                    return True
            return False

        while used < budget:
            data = best[0].data
            positions = cut_positions(best[2].cuts, len(data))
            if not improves(_smaller(data, positions)[: budget - used]):
                break
        return best


def _smaller(data: bytes, positions: list[int]) -> list[tuple[bytes, list[int]]]:
    found: list[tuple[bytes, list[int]]] = []
    count = len(positions)
    if count > 1:
        step = max(1, count // 16)
        found += [(data, [one]) for one in positions[::step]]
        found += [(data, positions[: count // 2]), (data, positions[count // 2 :])]
        found += [(data, positions[:at] + positions[at + step :]) for at in range(0, count, step)]
    size = len(data)
    for part in (2, 4, 8, 16, 64):
        step = max(1, size // part)
        for at in range(0, size, step):
            end = min(size, at + step)
            kept = data[:at] + data[end:]
            moved = [place if place <= at else max(at, place - (end - at)) for place in positions]
            moved = [place for place in dict.fromkeys(moved) if 0 < place < len(kept)]
            if moved:
                found.append((kept, moved))
            if len(found) > 120:
                return found
        if step == 1:
            break
    for part in (1, 4, 16):
        step = max(1, size // part)
        for at in range(0, size, step):
            if data[at : at + step].strip(b"\0"):
                found.append((data[:at] + bytes(len(data[at : at + step])) + data[at + step :], positions))
    return found


def differ(one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes of the same bytes are two answers. Hanging and dying are judged elsewhere."""
    gone = ("hangs", "died")
    if one.kind in gone or other.kind in gone:
        return False
    return one.answer != other.answer


def _key(case: Case) -> tuple[object, ...]:
    return case.data, case.facts


def _most_common(pairs: Sequence[tuple[Case, Outcome]]) -> object:
    counts: dict[object, int] = {}
    for _, outcome in pairs:
        counts[outcome.answer] = counts.get(outcome.answer, 0) + 1
    return max(counts, key=lambda answer: counts[answer], default=None)


class Places:
    """What is refused wherever it stands must be refused at the borders of the plugin's own pieces, too."""

    def __init__(self, runner: Runner, words: Dictionary, seed: int) -> None:
        self._runner = runner
        self._words = words
        self._seed = seed
        self.ran = 0

    def check(self, limit: int | None) -> tuple[Case, Outcome, Case, Outcome, int] | None:
        """(a case that is found, one that is missed, around which number), or None."""
        until = time.monotonic() + 6.0
        widths = sorted({n for n in self._words.numbers if 16 <= n <= 4 << 20} | {1 << 16, 1 << 20}, reverse=True)[:8]
        for token in self._searched():
            for width in widths:
                if time.monotonic() > until:
                    return None
                if (limit is None or 3 * width + 700 < limit) and (found := self._around(token, width)):
                    return found
        return None

    def _image(self, token: bytes, at: int, size: int) -> Case:
        base = bytearray(b"." * size)
        base[at : at + len(token)] = token
        return Case(bytes(base))

    def _searched(self) -> list[bytes]:
        """Tokens that are found at any place."""
        found = []
        tokens = [token for token in self._words.tokens if 2 <= len(token) <= 256][:80]
        nothing = self._runner.one(Case(b"." * 1500))
        for token in tokens:
            outcomes = self._runner.run([self._image(token, at, 1500) for at in (13, 377, 1021)])
            self.ran += 3
            verdicts = {one.verdict for one in outcomes}
            if len(verdicts) == 1 and nothing.verdict not in verdicts and outcomes[0].kind == "refused":
                found.append(token)
        found.sort(key=len, reverse=True)
        return found[:4]

    def _around(self, token: bytes, width: int) -> tuple[Case, Outcome, Case, Outcome, int] | None:
        size = 2 * width + 600
        inside = self._image(token, max(0, width // 2 - len(token)), size)
        after = self._image(token, width + len(token) + 77, size)
        first, last = self._runner.run([inside, after])
        self.ran += 2
        if first.kind != "refused" or first.verdict != last.verdict:
            return None
        most = max(1, len(token) // 8)
        places = [width - j for j in range(1, len(token), most) if width - j >= 0]
        cases = [self._image(token, at, size) for at in places]
        for case, outcome in zip(cases, self._runner.run(cases), strict=True):
            self.ran += 1
            if outcome.kind == "accepted":
                return inside, first, case, outcome, width
        return None


def long_filler(size: int, seed: int) -> bytes:
    """`size` bytes of which no two blocks are the same, quickly."""
    block = images.filler(1 << 16, seed)
    whole = bytearray(block * (size // len(block) + 1))
    for at in range(0, len(whole), 512):
        whole[at : at + 8] = at.to_bytes(8, "big")
    del whole[size:]
    return bytes(whole)
