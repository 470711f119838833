"""Images that reach as much of the plugin's code as they can: built of its constants, kept by the lines they run."""

from __future__ import annotations

import dataclasses
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from . import dictionary, images
from .cases import NOTHING_DECLARED, USUAL, Case, Facts, Outcome
from .driver_process import Runner
from .subject import Described

MUTATED_SECONDS = 6.0
SWEEP_SECONDS = 12.0
BATCH = 48
TRACED = 1 << 17
SLOW_SECONDS = 1.5
FORMATS = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ploop", "ami", "Odd Format!", "é", "")
_COUNTS = re.compile(r"size|bytes|count|length|number|sector|blocks|_at$|depth")


class Search:
    """`kept` are the cases that ran something new, with what came of them; all others that failed are in `odd`."""

    def __init__(
        self, runner: Runner, described: Described, words: dictionary.Dictionary, seed: int, effort: float
    ) -> None:
        self._effort = effort
        self._runner = runner
        self._described = described
        self.words = words
        self._random = random.Random(seed)
        self._seed = seed
        self.kept: list[tuple[Case, Outcome]] = []
        self.odd: list[tuple[Case, Outcome]] = []
        self.tried = 0
        self._a_byte = 0.0  # seconds
        self._traces = True
        self.seen: dict[tuple[object, ...], int] = {}
        """Verdicts, and how often each was seen."""

    def run(self, given: Sequence[bytes]) -> None:
        """Search. `given` are the images of the command line."""
        first = [Case(data, facts=facts) for data in (b"", b"\0", b"A" * 700) for facts in (USUAL, NOTHING_DECLARED)]
        self._try([dataclasses.replace(case, sample=True) for case in first])
        found = self._runner.found
        self.words = dictionary.build(found, self._described.reads, self._seed)
        declared = list(self._declarations())
        self._try(Case(data, facts=facts) for data in (b"", b"\x55" * 512) for facts in declared)
        if not self._described.reads_bytes:
            return
        until = time.monotonic() + SWEEP_SECONDS * self._effort
        for cases in (self._plain(), self._given(given), self._real(), self._built()):
            self._try(cases, until)
        self._learn()
        self._mutate(given)

    def _try(self, cases: Iterable[Case], until: float | None = None) -> None:
        waiting: list[Case] = []
        seen: set[tuple[object, ...]] = set()
        for given in cases:
            case = given
            limit = self._described.head
            if limit is not None and len(case.data) > limit + 4096:
                case = dataclasses.replace(case, data=case.data[: limit + 4096])
            if len(case.data) * self._a_byte > SLOW_SECONDS:
                continue
            key = (case.data, case.facts)
            if key in seen:
                continue
            seen.add(key)
            # Tracing costs a slow plugin ten times its own time.
            waiting.append(dataclasses.replace(case, trace=len(case.data) <= TRACED))
            if len(waiting) >= BATCH:
                self._take(waiting)
                waiting = []
                if until is not None and time.monotonic() > until:
                    return
        if waiting:
            self._take(waiting)

    def _take(self, cases: list[Case]) -> list[tuple[Case, Outcome]]:
        fresh: list[tuple[Case, Outcome]] = []
        if not self._traces:
            cases = [dataclasses.replace(case, trace=False) for case in cases]
        for case, first in zip(cases, self._runner.run(cases), strict=True):
            outcome = first
            if outcome.kind == "hangs" and case.trace and self._traces:
                plain = self._runner.one(dataclasses.replace(case, trace=False))
                if plain.kind != "hangs":  # it was tracing that made it so slow
                    self._traces, self._runner.hung, outcome = False, 0, plain
            self.tried += 1
            told = outcome.told
            if len(case.data) >= 2048:
                self._a_byte = max(
                    self._a_byte, float(told.get("cpu", 0.0)) / len(case.data) / (8 if case.trace else 1)
                )
            if told.get("found"):
                self._runner.found = told["found"]
            verdict = outcome.verdict
            new = verdict not in self.seen
            self.seen[verdict] = self.seen.get(verdict, 0) + 1
            if told.get("new_arcs") or new:
                self.kept.append((case, outcome))
                fresh.append((case, outcome))
            self.odd.append((case, outcome))
        return fresh

    # what is tried

    def _declarations(self) -> Iterator[Facts]:
        """What may be declared of an image: nothing, all, and odd things."""
        yield NOTHING_DECLARED
        for size in (True, False):
            yield dataclasses.replace(USUAL, size=size)
            yield dataclasses.replace(USUAL, name=None, size=size)
            yield dataclasses.replace(USUAL, disk_format=None, size=size)
            yield dataclasses.replace(USUAL, container_format=None, size=size)
        for name in ("", "x", "ä ö.qcow2", "IMAGE", "no-dot", "..", "a" * 300, "with\ttab\nand line", "%s %d {0}"):
            yield dataclasses.replace(USUAL, name=name)
        for form in FORMATS:
            yield dataclasses.replace(USUAL, disk_format=form)
        for form in ("ova", "docker", "odd"):
            yield dataclasses.replace(USUAL, container_format=form)
        yield dataclasses.replace(USUAL, owner="0123456789abcdef0123456789abcdef", roles=("member", "admin"))
        yield dataclasses.replace(USUAL, owner="", roles=("",))
        words = [word for word in self.words.words if len(word) < 100]
        names = self.words.names
        for word in words[:60]:
            yield dataclasses.replace(USUAL, name=word)
            yield dataclasses.replace(USUAL, disk_format=word)
            yield dataclasses.replace(USUAL, owner=word, roles=(word,))
        for pattern in self.words.patterns[:30]:
            text = pattern.decode("utf-8", "replace")
            yield dataclasses.replace(USUAL, name=text)
            yield dataclasses.replace(USUAL, owner=text)
        values = ("", "1", "true", "abc", "-1", "9" * 30, "ß\x00")
        for name in names[:40]:
            for value in values:
                yield dataclasses.replace(USUAL, properties=((name, value),))
        for value in words[:25]:
            yield dataclasses.replace(USUAL, properties=tuple((name, value) for name in names[:40]))
        for value in values:
            yield dataclasses.replace(USUAL, properties=tuple((name, value) for name in names))
        if self._described.reads == "findings":
            yield from self._findings()

    def _findings(self) -> Iterator[Facts]:
        names = [name for name in self.words.names if "." in name]
        values = ["raw", "gpt", "none", *self.words.words[:30]]
        for value in values:
            found = tuple((name, 7 if _COUNTS.search(name) else value) for name in names)
            yield dataclasses.replace(USUAL, findings=found)
            for one in found[:10]:
                yield dataclasses.replace(USUAL, findings=(one,))

    def _plain(self) -> Iterator[Case]:
        for data in images.plain(self._seed):
            yield Case(data)
        for number in self.words.offsets:
            yield Case(bytes(number))
            if number <= 1 << 16:
                yield Case(images.filler(number, self._seed))
                yield Case(b"\xff" * number)
        for number in self.words.offsets[:12]:
            yield Case(images.filler(number, self._seed), facts=NOTHING_DECLARED)

    def _given(self, given: Sequence[bytes]) -> Iterator[Case]:
        for data in given:
            yield Case(data)
            yield Case(data, facts=NOTHING_DECLARED)
            for size in _truncations(len(data), self.words.offsets, 40):
                yield Case(data[:size])

    def _real(self) -> Iterator[Case]:
        for name, data in images.real(self._seed):
            yield Case(data)
            if name in FORMATS or name == "vhd":
                yield Case(data, facts=dataclasses.replace(USUAL, disk_format=name))
            for size in _truncations(len(data), (), 5):
                yield Case(data[:size])

    def _built(self) -> Iterator[Case]:
        """Each constant alone, inside of others, at each number that stands in the code."""
        tokens, offsets = self.words.tokens, self.words.offsets
        fillings: tuple[Callable[[int], bytes], ...] = (bytes, lambda size: images.filler(size, self._seed + size))
        for token in tokens:
            yield Case(token)
            yield Case(token[:-1])
            yield Case(b"\0" + token + b"\0")
            yield Case(token + images.filler(600, self._seed))
            yield Case(token + bytes(600))
            yield Case(images.filler(777, self._seed) + token + images.filler(300, self._seed))
            yield Case(token * 3)
        for token in tokens[:60]:
            for offset in offsets:
                if offset <= 1 << 14:
                    for fill in fillings:
                        yield Case(fill(offset) + token + fill(200))
                    yield Case(bytes(offset) + token)
        for token in tokens[:40]:
            for offset in (510, 512, 1024, 2048, 4096, 32769, 65536):
                yield Case(bytes(offset) + token + bytes(600))
        for token in tokens[:12]:
            for offset in offsets:
                if 1 << 14 < offset <= 2 << 20:
                    yield Case(bytes(offset) + token + bytes(64))
            yield Case(token + bytes(600), facts=NOTHING_DECLARED)
            yield Case(bytes(3000) + token)
        for one in tokens[:24]:
            for other in tokens[:24]:
                yield Case(one + b"\n" + other + b"\n")
        for one in tokens[:12]:
            yield Case(one + bytes(90) + b"".join(tokens[:24]))

    # what is learned by trying

    def _learn(self) -> None:
        """Values that the plugin's functions held are constants, too."""
        sample = [dataclasses.replace(case, sample=True) for case, _ in self.kept[:24]]
        known = set(self.words.tokens)
        self._take([dataclasses.replace(case, trace=True) for case in sample])
        self.words = dictionary.build(self._runner.found, self._described.reads, self._seed)
        fresh = [token for token in self.words.tokens if token not in known][:40]
        cases = [Case(token + bytes(600)) for token in fresh]
        cases += [Case(bytes(777) + token + bytes(300)) for token in fresh]
        cases += [
            Case(bytes(offset) + token + bytes(64))
            for token in fresh[:16]
            for offset in self.words.offsets
            if 0 < offset <= 1 << 14
        ]
        self._try(cases)

    def _mutate(self, given: Sequence[bytes]) -> None:
        """Change what was kept, and keep what reaches more, for a while."""
        until = time.monotonic() + MUTATED_SECONDS * self._effort
        pool = [case for case, _ in self.kept if len(case.data) <= 1 << 18]
        since = 0
        rounds = 0
        while pool and time.monotonic() < until and since < 40 and rounds < 400:
            rounds += 1
            cases = []
            for _ in range(BATCH):
                # Half of the time what was found last: it reaches deepest.
                recent = self._random.random() < 0.5
                case = self._random.choice(pool[-12:] if recent else pool)
                cases.append(dataclasses.replace(self._changed(case), trace=True))
            fresh = self._take(cases)
            pool += [case for case, _ in fresh if len(case.data) <= 1 << 18]
            since = 0 if fresh else since + 1

    def _changed(self, case: Case) -> Case:
        chance = self._random
        data = bytearray(case.data)
        offsets = [offset for offset in self.words.offsets if offset <= 1 << 16] or [0]
        for _ in range(chance.choice((1, 1, 2, 3, 5))):
            kind = chance.randrange(9)
            at = chance.choice(offsets) if chance.random() < 0.7 else chance.randrange(len(data) + 1)
            if kind <= 2 and self.words.tokens:
                token = chance.choice(self.words.tokens)
                if len(data) < at:
                    data += bytes(at - len(data))
                data[at : at + len(token)] = token
            elif kind == 3:
                size = chance.choice((1, 2, 4, 8))
                value = chance.choice(
                    (0, 1, 2, 255, 1 << (8 * size - 1), (1 << 8 * size) - 1, *self.words.numbers[:40])
                )
                field = (value % (1 << 8 * size)).to_bytes(size, chance.choice(("little", "big")))
                if len(data) < at:
                    data += bytes(at - len(data))
                data[at : at + size] = field
            elif kind == 4:
                del data[at:]
            elif kind == 5 and self.words.tokens:
                data[at:at] = chance.choice(self.words.tokens)
            elif kind == 6:
                data += chance.choice(
                    (bytes(512), b"\xff" * 64, images.filler(100, chance.randrange(999)), bytes(data))
                )
                del data[1 << 18 :]
            elif kind == 7 and self.words.tokens:
                data += chance.choice(self.words.tokens)
            elif data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        facts = case.facts
        if chance.random() < 0.1:
            facts = dataclasses.replace(facts, size=not facts.size)
        return Case(bytes(data), facts=facts)


def _truncations(size: int, offsets: Sequence[int], most: int) -> list[int]:
    """Lengths to which an image of `size` bytes is cut short."""
    wanted = {1, 2, 8, 100, 511, 512, size - 1, size // 2, size - 8, size * 3 // 4, *offsets}
    fitting = sorted(one for one in wanted if 0 < one < size)
    if len(fitting) <= most:
        return fitting
    return [fitting[number * len(fitting) // most] for number in range(most)]
