"""The stream that readers of formats are served from: the same answers however the image is cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from examining import codes, examine, examine_chunks, summary
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats import examination
from douane.plugins.formats.base import Format
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.match import Look
from douane.plugins.formats.requests import MOST_BYTES, TAIL_BYTES, Bytes, Inside, Tail

KiB, MiB = 1 << 10, 1 << 20
IMAGE = bytes(range(256)) * (13 * KiB) + b"the end"


class Toy(Format):
    """Recognises everything, and asks for what it is told to."""

    name = "toy"

    def __init__(self, wants: list[Any]) -> None:
        self.wants = wants
        self.answers: list[Any] = []

    def begins(self, head: bytes) -> bool:
        del head
        return True

    def read(self, look: Look) -> Any:
        for want in self.wants:
            answer = yield want
            self.answers.append(answer)
            look.note("answer", len(answer) if isinstance(answer, bytes) else str(summary(answer)))


def ask(
    monkeypatch: pytest.MonkeyPatch, wants: list[Any], cut: int = MiB, known: bool = True
) -> tuple[Toy, Examination]:
    toy = Toy(wants)
    monkeypatch.setattr(examination, "FORMATS", (toy,))
    return toy, examine(IMAGE, cut=cut, size_known=known)


@pytest.mark.parametrize("cut", [997, 64 * KiB, MiB, 2 * MiB, 16 * MiB])
@pytest.mark.parametrize("known", [True, False])
def test_a_reader_gets_the_bytes_it_asks_for_however_they_arrive(
    monkeypatch: pytest.MonkeyPatch, cut: int, known: bool
) -> None:
    toy, done = ask(
        monkeypatch,
        [
            Bytes(3, 500, "a"),
            Bytes(70 * KiB, 9 * KiB, "b"),
            Bytes(MiB - 10, 20, "c"),
            Bytes(100, 7, "the first megabyte is kept"),
            Bytes(2 * MiB + 5, MOST_BYTES, "d"),
            Tail(300),
            Bytes(len(IMAGE) - 7, 7, "the tail is kept"),
        ],
        cut,
        known,
    )
    wanted = [want for want in toy.wants if isinstance(want, Bytes)]
    got = [toy.answers[toy.wants.index(want)] for want in wanted]
    assert got == [IMAGE[want.offset : want.offset + want.length] for want in wanted]
    assert toy.answers[5] == IMAGE[-300:]
    assert codes(done) == set()


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_what_has_gone_by_is_missed_even_if_a_chunk_still_holds_it(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    toy, done = ask(monkeypatch, [Bytes(2 * MiB, 10, "a"), Bytes(2 * MiB - 1, 4, "b")], cut)
    assert len(toy.answers) == 1
    assert codes(done) == {"out-of-order"}
    toy, done = ask(monkeypatch, [Bytes(2 * MiB, 10, "a"), Bytes(2 * MiB - 1, 4, "b", essential=False)], cut)
    assert codes(done) == {"unchecked"}


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_an_image_that_ends_too_early_is_truncated(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    toy, done = ask(monkeypatch, [Bytes(len(IMAGE) - 3, 4, "the header")], cut)
    assert toy.answers == []
    assert codes(done) == {"truncated"}
    toy, done = ask(monkeypatch, [Bytes(len(IMAGE) - 3, 4, "a", short=True), Bytes(1 << 62, 4, "b", short=True)], cut)
    assert toy.answers == [b"end", b""]
    assert codes(done) == set()


@pytest.mark.parametrize("cut", [997, MiB, 16 * MiB])
def test_an_image_inside_the_image_is_examined_as_one(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    toy, done = ask(monkeypatch, [Inside(5000, 2 * MiB, "disk"), Bytes(2 * MiB + 5000, 4, "behind")], cut)
    assert isinstance(toy.answers[0], Examination)
    assert toy.answers[0].position == 2 * MiB
    assert [name for name, _ in done.looks[0].inner] == ["disk"]


def test_images_in_images_end_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    _, done = ask(monkeypatch, [Inside(0, 1000, "itself")])
    assert "too-deep" in codes(done)


def test_a_reader_that_fails_is_a_finding_and_not_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Toy):
        def read(self, look: Look) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            raise IndexError(look.name)

    monkeypatch.setattr(examination, "FORMATS", (Failing([]),))
    assert codes(examine(IMAGE)) == {"reader-failed"}


def test_readers_without_end_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Breeding(Toy):
        def read(self, look: Look) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            look.spawn(self.read(look))
            look.spawn(self.read(look))

    monkeypatch.setattr(examination, "FORMATS", (Breeding([]),))
    assert codes(examine(IMAGE)) == {"unchecked"}


@pytest.mark.parametrize("known", [True, False])
def test_a_table_behind_the_end_is_found(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    class Reaching(Toy):
        def read(self, look: Look) -> Iterator[Any]:
            yield Bytes(0, 4, "header")
            look.must_reach(len(IMAGE), "the first table")
            look.must_reach(len(IMAGE) + 1, "the second table")

    monkeypatch.setattr(examination, "FORMATS", (Reaching([]),))
    done = examine(IMAGE, size_known=known)
    assert [finding.code for finding in done.findings] == ["outside-file"]
    assert "the second table" in done.findings[0].detail


def test_skipping_what_nobody_wants_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    wants = [Bytes(100, 10, "a"), Bytes(2 * MiB + 77, 10, "b"), Tail(TAIL_BYTES)]
    toy = Toy(wants)
    monkeypatch.setattr(examination, "FORMATS", (toy,))
    done = Examination(len(IMAGE))
    skipped = 0
    while done.position < len(IMAGE):
        skipped += done.skippable()
        done.skip(done.skippable())
        done.feed(memoryview(IMAGE)[done.position : done.position + 64 * KiB])
    done.finish()
    assert skipped > MiB
    skipping, toy.answers = toy.answers, []
    assert summary(done) == summary(examine(IMAGE))
    assert skipping == toy.answers


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_cuts_change_nothing(data: st.DataObject) -> None:
    image = IMAGE[: data.draw(st.integers(0, len(IMAGE)))]
    bounds = sorted(data.draw(st.lists(st.integers(0, len(image)), max_size=8)))
    pieces = [image[a:b] for a, b in zip([0, *bounds], [*bounds, len(image)], strict=True)]
    offsets = st.one_of(st.integers(0, len(IMAGE) + 9), st.sampled_from([0, 72 * KiB, MiB - 3, MiB, 3 * MiB]))
    wants = data.draw(
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
    one, other = Toy(wants), Toy(wants)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examination, "FORMATS", (one,))
        whole = examine_chunks([image], len(image))
        patch.setattr(examination, "FORMATS", (other,))
        cut = examine_chunks(pieces)
    assert summary(whole) == summary(cut)
