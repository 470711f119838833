"""The stream that readers of formats are served from: the same answers however the image is cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats.base import Format
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.match import Match
from douane.plugins.formats.requests import MAX_BYTES, TAIL_BYTES, Bytes, Inside, Tail
from support.examination import codes, examine, examine_chunks, summary

KiB, MiB = 1 << 10, 1 << 20
IMAGE = bytes(range(256)) * (13 * KiB) + b"the end"


class Toy(Format):
    """Recognises everything, and asks for what it is told to."""

    name = "toy"

    def __init__(self, requests: list[Any]) -> None:
        self.requests = requests
        self.answers: list[Any] = []

    def begins(self, head: bytes) -> bool:
        del head
        return True

    def read(self, match: Match) -> Any:
        for request in self.requests:
            answer = yield request
            self.answers.append(answer)
            match.note("answer", len(answer) if isinstance(answer, bytes) else str(summary(answer)))


def ask(requests: list[Any], cut: int = MiB, known: bool = True) -> tuple[Toy, Examination]:
    toy = Toy(requests)
    return toy, examine(IMAGE, cut=cut, size_known=known, formats=(toy,))


@pytest.mark.parametrize("cut", [997, 64 * KiB, MiB, 2 * MiB, 16 * MiB])
@pytest.mark.parametrize("known", [True, False])
def test_a_reader_gets_the_bytes_it_asks_for_however_they_arrive(cut: int, known: bool) -> None:
    toy, done = ask(
        [
            Bytes(3, 500, "a"),
            Bytes(70 * KiB, 9 * KiB, "b"),
            Bytes(MiB - 10, 20, "c"),
            Bytes(100, 7, "the first megabyte is kept"),
            Bytes(2 * MiB + 5, MAX_BYTES, "d"),
            Tail(300),
            Bytes(len(IMAGE) - 7, 7, "the tail is kept"),
        ],
        cut,
        known,
    )
    wanted = [request for request in toy.requests if isinstance(request, Bytes)]
    got = [toy.answers[toy.requests.index(request)] for request in wanted]
    assert got == [IMAGE[request.offset : request.offset + request.length] for request in wanted]
    assert toy.answers[5] == IMAGE[-300:]
    assert codes(done) == set()


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_what_has_gone_by_is_missed_even_if_a_chunk_still_holds_it(cut: int) -> None:
    toy, done = ask([Bytes(2 * MiB, 10, "a"), Bytes(2 * MiB - 1, 4, "b")], cut)
    assert len(toy.answers) == 1
    assert codes(done) == {"out-of-order"}
    toy, done = ask([Bytes(2 * MiB, 10, "a"), Bytes(2 * MiB - 1, 4, "b", essential=False)], cut)
    assert codes(done) == {"unchecked"}


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_an_image_that_ends_too_early_is_truncated(cut: int) -> None:
    toy, done = ask([Bytes(len(IMAGE) - 3, 4, "the header")], cut)
    assert toy.answers == []
    assert codes(done) == {"truncated"}
    toy, done = ask([Bytes(len(IMAGE) - 3, 4, "a", short=True), Bytes(1 << 62, 4, "b", short=True)], cut)
    assert toy.answers == [b"end", b""]
    assert codes(done) == set()


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_an_image_inside_the_image_is_examined_as_one(cut: int) -> None:
    toy, done = ask([Inside(5000, 2 * MiB, "disk"), Bytes(2 * MiB + 5000, 4, "behind")], cut)
    assert isinstance(toy.answers[0], Examination)
    assert toy.answers[0].position == 2 * MiB
    assert [name for name, _ in done.matches[0].inner] == ["disk"]


def test_images_in_images_end_somewhere() -> None:
    _, done = ask([Inside(0, 1000, "itself")])
    assert "too-deep" in codes(done)


def test_a_reader_that_fails_is_a_finding_and_not_an_exception() -> None:
    class Failing(Toy):
        def read(self, match: Match) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            raise IndexError(match.name)

    assert codes(examine(IMAGE, formats=(Failing([]),))) == {"reader-failed"}


def test_readers_without_end_are_stopped() -> None:
    class Breeding(Toy):
        def read(self, match: Match) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            match.spawn(self.read(match))
            match.spawn(self.read(match))

    assert codes(examine(IMAGE, formats=(Breeding([]),))) == {"unchecked"}


@pytest.mark.parametrize("known", [True, False])
def test_a_table_behind_the_end_is_found(known: bool) -> None:
    class Reaching(Toy):
        def read(self, match: Match) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            match.must_reach(len(IMAGE), "the first table")
            match.must_reach(len(IMAGE) + 1, "the second table")

    done = examine(IMAGE, size_known=known, formats=(Reaching([]),))
    assert [finding.code for finding in done.findings] == ["outside-file"]
    assert "the second table" in done.findings[0].detail


def test_skipping_what_nobody_wants_finds_the_same() -> None:
    requests = [Bytes(100, 10, "a"), Bytes(2 * MiB + 77, 10, "b"), Tail(TAIL_BYTES)]
    toy = Toy(requests)
    done = Examination((toy,), len(IMAGE))
    skipped = 0
    while done.position < len(IMAGE):
        skipped += done.skippable()
        done.skip(done.skippable())
        done.feed(memoryview(IMAGE)[done.position : done.position + 64 * KiB])
    done.finish()
    assert skipped > MiB
    skipping, toy.answers = toy.answers, []
    assert summary(done) == summary(examine(IMAGE, formats=(toy,)))
    assert skipping == toy.answers


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_cuts_change_nothing(data: st.DataObject) -> None:
    image = IMAGE[: data.draw(st.integers(0, len(IMAGE)))]
    bounds = sorted(data.draw(st.lists(st.integers(0, len(image)), max_size=8)))
    pieces = [image[a:b] for a, b in zip([0, *bounds], [*bounds, len(image)], strict=True)]
    offsets = st.one_of(st.integers(0, len(IMAGE) + 9), st.sampled_from([0, 72 * KiB, MiB - 3, MiB, 3 * MiB]))
    requests = data.draw(
        st.lists(
            st.one_of(
                st.builds(
                    Bytes, offsets, st.integers(0, MiB), st.just("x"), short=st.booleans(), essential=st.booleans()
                ),
                st.builds(Tail, st.integers(0, TAIL_BYTES)),
                st.builds(Inside, offsets, st.integers(0, 2 * MiB), st.just("y")),
            ),
            max_size=6,
        )
    )
    one, other = Toy(requests), Toy(requests)
    whole = examine_chunks([image], len(image), (one,))
    cut = examine_chunks(pieces, formats=(other,))
    assert summary(whole) == summary(cut)
