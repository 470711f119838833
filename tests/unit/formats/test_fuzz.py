"""A few thousand mutants of real images: the examination keeps its promises for any bytes.

`make fuzz` runs the same for hundreds of thousands.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats.base import Format
from douane.plugins.formats.match import Match
from douane.plugins.formats.registry import FORMATS
from douane.plugins.formats.requests import HEAD_BYTES, TAIL_BYTES, Bytes
from support.examination import examine, summary
from support.fuzzing.checks import EITHER, SIZE_KNOWN, SIZE_UNKNOWN, SKIPPING, Broken, Work, check, examine_cut
from support.fuzzing.mutants import Mutator
from support.fuzzing.seeds import CORPUS, seeds

MiB = 1 << 20
SEEDS = seeds()
SMALL = sorted(name for name, data in SEEDS.items() if len(data) < MiB)
MUTANTS = 2000
MAX_TRACED = 24 * MiB


@pytest.mark.parametrize("part", range(4))
def test_mutants_do_not_break_the_examination(part: int) -> None:
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
def test_inserted_bytes_do_not_break_the_examination(data: st.DataObject) -> None:
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
def test_seed_needs_bounded_memory_and_skipping_changes_nothing(name: str) -> None:
    data = SEEDS[name]
    cuts = (*range(0, len(data), MiB), len(data))
    fed = examine_cut(data, cuts, size_known=True)
    tracemalloc.start()
    skipped = examine_cut(data, cuts, size_known=True, skipping=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary(fed) == summary(skipped)
    assert peak < MAX_TRACED


@pytest.mark.parametrize("length", [50_768, 51_065, 100_000])
def test_order_of_formats_changes_nothing(length: int) -> None:
    backwards = tuple(reversed(FORMATS))
    for name, data in SEEDS.items():
        image = data[:length]
        assert summary(examine(image)) == summary(examine(image, formats=backwards)), name


def test_every_format_has_a_small_seed() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < MiB
    heads = [data[:HEAD_BYTES] for data in SEEDS.values()]
    tails = [(data[-TAIL_BYTES:], len(data)) for data in SEEDS.values()]
    missing = [
        form.name
        for form in FORMATS
        if not any(map(form.begins, heads)) and not any(form.ends(*tail) for tail in tails)
    ]
    assert not missing, f"no seed is taken for {missing}: add one in tests/fuzz"


def test_mutants_are_reproducible() -> None:
    mutator, reversed_mutator = Mutator(SEEDS, 7), Mutator(dict(reversed(list(SEEDS.items()))), 7)
    assert [mutator.make(number) for number in range(40)] == [reversed_mutator.make(number) for number in range(40)]
    assert mutator.make(1).data != Mutator(SEEDS, 8).make(1).data


class CountsChunks(Format):
    """Keeps state between two images."""

    name = "counts"
    count = 0

    def begins(self, head: bytes) -> bool:
        CountsChunks.count += 1
        return True

    def read(self, match: Match) -> Any:
        match.note("seen", self.count)
        yield Bytes(0, 1, "the header")


class Raises(Format):
    """A reader that raises."""

    name = "raises"

    def begins(self, head: bytes) -> bool:
        return True

    def read(self, match: Match) -> Any:
        header = yield Bytes(0, 4, "the header")
        match.note("field", header[9])


@pytest.mark.parametrize(("form", "why"), [(CountsChunks(), "another answer"), (Raises(), "IndexError")])
def test_check_detects_broken_readers(form: Format, why: str) -> None:
    with Work() as work, pytest.raises(Broken, match=why):
        check(b"some bytes", (0, 5, 10), work, SIZE_KNOWN, (form,))


def test_check_detects_excessive_work() -> None:
    class Long(Raises):
        """Requests the same bytes again and again."""

        def read(self, match: Match) -> Any:
            for _ in range(30_000):
                yield Bytes(0, 4096, "the header")

    with Work() as work, pytest.raises(Broken, match="steps"):
        check(bytes(9999), (0, 9999), work, SIZE_KNOWN, (Long(),))
