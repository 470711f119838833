"""The examination answers the requests of readers, the same for all chunk sizes."""

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
    """Recognises every image, and yields `requests`."""

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


def ask(requests: list[Any], cut: int = MiB, size_known: bool = True) -> tuple[Toy, Examination]:
    toy = Toy(requests)
    return toy, examine(IMAGE, cut=cut, size_known=size_known, formats=(toy,))


@pytest.mark.parametrize("cut", [997, 64 * KiB, MiB, 2 * MiB, 16 * MiB])
@pytest.mark.parametrize("size_known", [True, False])
def test_reader_gets_requested_bytes_for_all_chunk_sizes(cut: int, size_known: bool) -> None:
    toy, examination = ask(
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
        size_known,
    )
    byte_requests = [request for request in toy.requests if isinstance(request, Bytes)]
    answers = [toy.answers[toy.requests.index(request)] for request in byte_requests]
    assert answers == [IMAGE[request.offset : request.offset + request.length] for request in byte_requests]
    assert toy.answers[5] == IMAGE[-300:]
    assert codes(examination) == set()


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_passed_bytes_are_missed_even_if_a_chunk_still_holds_them(cut: int) -> None:
    toy, examination = ask([Bytes(2 * MiB, 10, "a"), Bytes(2 * MiB - 1, 4, "b")], cut)
    assert len(toy.answers) == 1
    assert codes(examination) == {"out-of-order"}
    toy, examination = ask([Bytes(2 * MiB, 10, "a"), Bytes(2 * MiB - 1, 4, "b", essential=False)], cut)
    assert codes(examination) == {"unchecked"}


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_early_end_of_an_image_is_truncated(cut: int) -> None:
    toy, examination = ask([Bytes(len(IMAGE) - 3, 4, "the header")], cut)
    assert toy.answers == []
    assert codes(examination) == {"truncated"}
    toy, examination = ask([Bytes(len(IMAGE) - 3, 4, "a", short=True), Bytes(1 << 62, 4, "b", short=True)], cut)
    assert toy.answers == [b"end", b""]
    assert codes(examination) == set()


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_inner_image_is_examined(cut: int) -> None:
    toy, examination = ask([Inside(5000, 2 * MiB, "disk"), Bytes(2 * MiB + 5000, 4, "behind")], cut)
    assert isinstance(toy.answers[0], Examination)
    assert toy.answers[0].position == 2 * MiB
    assert [name for name, _ in examination.matches[0].inner] == ["disk"]


def test_depth_of_inner_images_is_bounded() -> None:
    _, examination = ask([Inside(0, 1000, "itself")])
    assert "too-deep" in codes(examination)


def test_failure_of_a_reader_is_a_finding() -> None:
    class Failing(Toy):
        def read(self, match: Match) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            raise IndexError(match.name)

    assert codes(examine(IMAGE, formats=(Failing([]),))) == {"reader-failed"}


def test_number_of_readers_is_bounded() -> None:
    class Breeding(Toy):
        def read(self, match: Match) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            match.spawn(self.read(match))
            match.spawn(self.read(match))

    assert codes(examine(IMAGE, formats=(Breeding([]),))) == {"unchecked"}


@pytest.mark.parametrize("size_known", [True, False])
def test_table_outside_the_image_is_found(size_known: bool) -> None:
    class Reaching(Toy):
        def read(self, match: Match) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            match.must_reach(len(IMAGE), "the first table")
            match.must_reach(len(IMAGE) + 1, "the second table")

    examination = examine(IMAGE, size_known=size_known, formats=(Reaching([]),))
    assert [finding.code for finding in examination.findings] == ["outside-file"]
    assert "the second table" in examination.findings[0].detail


def test_skipping_unrequested_bytes_changes_nothing() -> None:
    requests = [Bytes(100, 10, "a"), Bytes(2 * MiB + 77, 10, "b"), Tail(TAIL_BYTES)]
    toy = Toy(requests)
    examination = Examination((toy,), len(IMAGE))
    skipped = 0
    while examination.position < len(IMAGE):
        skipped += examination.skippable()
        examination.skip(examination.skippable())
        examination.feed(memoryview(IMAGE)[examination.position : examination.position + 64 * KiB])
    examination.finish()
    assert skipped > MiB
    skipping, toy.answers = toy.answers, []
    assert summary(examination) == summary(examine(IMAGE, formats=(toy,)))
    assert skipping == toy.answers


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_chunk_boundaries_change_nothing(data: st.DataObject) -> None:
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
    toy, second_toy = Toy(requests), Toy(requests)
    at_once = examine_chunks([image], len(image), (toy,))
    cut = examine_chunks(pieces, formats=(second_toy,))
    assert summary(at_once) == summary(cut)
