"""Mutants of real images, a few thousand of them: whatever the bytes are, the examination keeps its promises.

`make fuzz` runs the same for hundreds of thousands.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats.base import HEAD_BYTES, Format
from douane.plugins.formats.match import Match
from douane.plugins.formats.registry import FORMATS
from douane.plugins.formats.requests import TAIL_BYTES, Bytes
from support.examination import summary
from support.fuzzing.checks import EITHER, SIZE_KNOWN, SIZE_UNKNOWN, SKIPPING, Broken, Work, check, examine_cut
from support.fuzzing.mutants import Mutator
from support.fuzzing.seeds import CORPUS, seeds

MiB = 1 << 20
SEEDS = seeds()
SMALL = sorted(name for name, data in SEEDS.items() if len(data) < MiB)
MUTANTS = 2000
MOST_TRACED = 24 * MiB


@pytest.mark.parametrize("part", range(4))
def test_no_mutant_upsets_the_examination(part: int) -> None:
    mutator = Mutator(SEEDS, seed=20)
    broken = []
    with Work() as work:
        for number in range(part, MUTANTS, 4):
            mutant = mutator.make(number)
            try:
                check(mutant.data, mutant.cuts, work, number // 4 % 4)
            except Broken as error:
                broken.append(f"{number}: {mutant.story}: {error}")
    assert not broken, "\n".join(broken[:5])


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_bytes_put_anywhere_into_a_seed_upset_nothing(data: st.DataObject) -> None:
    image = bytearray(SEEDS[data.draw(st.sampled_from(SMALL))])
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, min(len(image), 2048)) | st.integers(0, len(image)))
        piece = data.draw(st.binary(max_size=16))
        image[at : at + len(piece)] = piece
    del image[data.draw(st.just(len(image)) | st.integers(0, len(image))) :]
    cuts = sorted({0, len(image), *data.draw(st.lists(st.integers(0, len(image)), max_size=6))})
    with Work() as work:
        check(bytes(image), cuts, work, data.draw(st.sampled_from([SIZE_UNKNOWN, SIZE_KNOWN, SKIPPING, EITHER])))


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_a_seed_is_examined_in_bounded_memory_and_the_same_when_skipped_through(name: str) -> None:
    data = SEEDS[name]
    cuts = (*range(0, len(data), MiB), len(data))
    fed = examine_cut(data, cuts, size_known=True)
    tracemalloc.start()
    skipped = examine_cut(data, cuts, size_known=True, skipping=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary(fed) == summary(skipped)
    assert peak < MOST_TRACED


def test_the_seeds_are_small_and_of_all_formats() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < MiB
    heads = [data[:HEAD_BYTES] for data in SEEDS.values()]
    tails = [(data[-TAIL_BYTES:], len(data)) for data in SEEDS.values()]
    missing = [
        one.name for one in FORMATS if not any(map(one.begins, heads)) and not any(one.ends(*tail) for tail in tails)
    ]
    assert not missing, f"no seed is taken for {missing}: add one in tests/fuzz"


def test_the_same_number_is_the_same_mutant() -> None:
    one, other = Mutator(SEEDS, 7), Mutator(dict(reversed(list(SEEDS.items()))), 7)
    assert [one.make(number) for number in range(40)] == [other.make(number) for number in range(40)]
    assert one.make(1).data != Mutator(SEEDS, 8).make(1).data


class CountsChunks(Format):
    """Remembers something between two images."""

    name = "counts"
    seen = 0

    def begins(self, head: bytes) -> bool:
        CountsChunks.seen += 1
        return True

    def read(self, match: Match) -> Any:
        match.note("seen", self.seen)
        yield Bytes(0, 1, "the header")


class Raises(Format):
    """Fails."""

    name = "raises"

    def begins(self, head: bytes) -> bool:
        return True

    def read(self, match: Match) -> Any:
        header = yield Bytes(0, 4, "the header")
        match.note("field", header[9])


@pytest.mark.parametrize(("one", "why"), [(CountsChunks(), "another answer"), (Raises(), "IndexError")])
def test_the_check_finds_what_it_is_for(one: Format, why: str) -> None:
    with Work() as work, pytest.raises(Broken, match=why):
        check(b"some bytes", (0, 5, 10), work, SIZE_KNOWN, (one,))


def test_work_beyond_what_the_bytes_are_worth_is_found() -> None:
    class Long(Raises):
        """Asks again and again for what it has."""

        def read(self, match: Match) -> Any:
            for _ in range(30_000):
                yield Bytes(0, 4096, "the header")

    with Work() as work, pytest.raises(Broken, match="steps"):
        check(bytes(9999), (0, 9999), work, SIZE_KNOWN, (Long(),))
