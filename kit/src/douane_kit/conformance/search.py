"""The images and declared facts to try the plugin on: plain bytes, known formats, the plugin's own constants."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterable, Iterator, Sequence

from . import guests, images
from .cases import NOTHING_DECLARED, USUAL, Case, Facts, Trial, fails_always
from .declarations import FORMATS, declarations
from .runner import Runner
from .subject import Subject
from .words import Words

SWEEP_SECONDS = 14.0
MUTATE_SECONDS = 6.0
BATCH = 48
SLOW_SECONDS = 1.5
ENOUGH_FAILURES = 400
"""The search ends if so many images were tried, the author's among them, and the plugin failed on each."""


class Search:
    """Runs the plugin on many images. `trials` are all of them, with their outcomes.

    `corpus` are those whose outcome had a new shape, so that they probably took different ways through the plugin.
    """

    def __init__(self, runner: Runner, subject: Subject, words: Words, seed: int, effort: float) -> None:
        self.trials: list[Trial] = []
        self.corpus: list[Trial] = []
        self._runner = runner
        self._usual = runner.usual
        self._subject = subject
        self._words = words
        self._random = random.Random(seed)
        self._seed = seed
        self._effort = effort
        self._seconds_a_byte = 0.0
        self._shapes: set[tuple[object, ...]] = set()
        self._tried: set[tuple[bytes, Facts]] = set()

    def run(self, samples: Sequence[bytes]) -> None:
        """Search; `samples` are images of the author. Raises GaveUp."""
        self._try(
            Case(data, facts=facts)
            for data in (b"", b"\x55" * 512)
            for facts in declarations(self._usual, self._words, self._subject.described.reads)
        )
        if not self._subject.reads_bytes:
            return
        until = self._runner.spent + SWEEP_SECONDS * self._effort
        for cases in (self._samples(samples), self._guests(), self._plain(), self._formats(), self._built()):
            self._try(cases, until)
            if len(self.trials) >= ENOUGH_FAILURES and fails_always(self.trials):
                return
        self._mutate()

    def _try(self, cases: Iterable[Case], until: float | None = None) -> int:
        """Run `cases` in batches, until there are no more or the time is over; return by how many the corpus grew."""
        size = len(self.corpus)
        batch: list[Case] = []
        head = self._subject.head
        for draft in cases:
            data = draft.data if head is None else draft.data[: head + 4096]
            facts = self._usual if draft.facts is USUAL else draft.facts  # a case without facts of its own
            case = self._subject.possible(dataclasses.replace(draft, data=data, facts=facts, trace=True))
            if (data, case.facts) in self._tried or len(data) * self._seconds_a_byte > SLOW_SECONDS:
                continue
            self._tried.add((data, case.facts))
            batch.append(case)
            if len(batch) >= BATCH:
                self._run(batch)
                batch = []
                if until is not None and self._runner.spent > until:
                    break
        if batch:
            self._run(batch)
        return len(self.corpus) - size

    def _run(self, batch: list[Case]) -> None:
        for case, outcome in zip(batch, self._runner.run(batch), strict=True):
            if len(case.data) >= 2048:
                self._seconds_a_byte = max(self._seconds_a_byte, outcome.cpu / len(case.data))
            self.trials.append((case, outcome))
            if outcome.shape not in self._shapes:
                self._shapes.add(outcome.shape)
                self.corpus.append((case, outcome))

    def _plain(self) -> Iterator[Case]:
        for data in images.plain(self._seed):
            yield Case(data)
        for offset in self._words.offsets:
            yield Case(bytes(offset))
            if offset <= 1 << 16:
                yield Case(images.filler(offset, self._seed))
                yield Case(b"\xff" * offset)
        for offset in self._words.offsets[:12]:
            yield Case(images.filler(offset, self._seed), facts=NOTHING_DECLARED)

    def _samples(self, samples: Sequence[bytes]) -> Iterator[Case]:
        for data in samples:
            yield Case(data)
            yield Case(data, facts=NOTHING_DECLARED)
            for size in _truncations(len(data), self._words.offsets, 40):
                yield Case(data[:size])

    def _guests(self) -> Iterator[Case]:
        if self._subject.looks_into_guest:
            for data in guests.disks(self._words.tokens, self._words.texts, self._seed):
                yield Case(data)

    def _formats(self) -> Iterator[Case]:
        for name, data in images.formats(self._seed):
            yield Case(data)
            if name in FORMATS:
                yield Case(data, facts=dataclasses.replace(self._usual, disk_format=name))
            for size in _truncations(len(data), (), 5):
                yield Case(data[:size])

    def _built(self) -> Iterator[Case]:
        """Yield each constant alone, between others, and at each number in the code."""
        tokens, offsets = self._words.tokens, self._words.offsets
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
                    yield Case(bytes(offset) + token + bytes(200))
                    yield Case(images.filler(offset, self._seed + offset) + token + images.filler(200, self._seed))
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
        for first, second in itertools.product(tokens[:24], repeat=2):
            yield Case(first + b"\n" + second + b"\n")
            yield Case(first + second)
        letters = [bytes([number]) for number in self._words.numbers if 0 < number < 256][:16]
        for first, second in itertools.product(letters, repeat=2):  # two bytes that are compared one by one
            yield Case(first + second)
            yield Case(b"\0" + first + second + b"\0")
        for token in tokens[:12]:
            yield Case(token + bytes(90) + b"".join(tokens[:24]))

    def _mutate(self) -> None:
        """Change the cases of the corpus, which grows by new shapes, until no more are found."""
        until = self._runner.spent + MUTATE_SECONDS * self._effort
        fruitless = 0
        while self.corpus and fruitless < 40 and self._runner.spent < until:
            pool = [case for case, _ in self.corpus if len(case.data) <= 1 << 18]
            if not pool:
                return
            # Half of the time the latest cases, which reach deepest.
            chosen = [self._random.choice(pool[-12:] if self._random.random() < 0.5 else pool) for _ in range(BATCH)]
            fruitless = 0 if self._try(self._changed(case) for case in chosen) else fruitless + 1

    def _changed(self, case: Case) -> Case:
        chance, tokens = self._random, self._words.tokens or (b"\0",)
        data = bytearray(case.data)
        offsets = [offset for offset in self._words.offsets if offset <= 1 << 16] or [0]
        for _ in range(chance.choice((1, 1, 2, 3, 5))):
            offset = chance.choice(offsets) if chance.random() < 0.7 else chance.randrange(len(data) + 1)
            change = chance.randrange(9)
            if change <= 3:
                piece = chance.choice(tokens) if change <= 2 else self._field()
                data += bytes(max(0, offset - len(data)))
                data[offset : offset + len(piece)] = piece
            elif change == 4:
                del data[offset:]
            elif change == 5:
                data[offset:offset] = chance.choice(tokens)
            elif change == 6:
                filler = images.filler(100, chance.randrange(999))
                data += chance.choice((bytes(512), b"\xff" * 64, filler, bytes(data)))
                del data[1 << 18 :]
            elif change == 7:
                data += chance.choice(tokens)
            elif data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        facts = case.facts
        if chance.random() < 0.1:
            facts = dataclasses.replace(facts, size=not facts.size)
        return Case(bytes(data), facts=facts)

    def _field(self) -> bytes:
        """Return an integer of an odd size, as a header may hold it."""
        size = self._random.choice((1, 2, 4, 8))
        limit = 1 << 8 * size
        value = self._random.choice((0, 1, 2, 255, limit // 2, limit - 1, *self._words.numbers[:40]))
        return (value % limit).to_bytes(size, self._random.choice(("little", "big")))


def _truncations(size: int, offsets: Sequence[int], count: int) -> list[int]:
    """Return up to `count` lengths to which an image of `size` bytes is cut short."""
    lengths = {1, 2, 8, 100, 511, 512, size - 1, size // 2, size - 8, size * 3 // 4, *offsets}
    fitting = sorted(length for length in lengths if 0 < length < size)
    if len(fitting) <= count:
        return fitting
    return [fitting[index * len(fitting) // count] for index in range(count)]
