"""The bytes that Glance gets are those that came and were inspected; and never all of them before they are accepted."""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from like_glance import Pieces

from douane.glance.upload.body import InspectedBody, NotAccepted


class Inspection:
    """Accepts at the end, or refuses at the end or after so many bytes."""

    def __init__(self, *, refuses_after: int | None = None, accepts: bool = True) -> None:
        self.seen = b""
        self.is_finished = False
        self.aborted: str | None = None
        self._after = refuses_after
        self._accepts = accepts

    def write(self, data: bytes) -> None:
        assert data
        self.seen += data
        if self._after is not None and len(self.seen) > self._after:
            raise NotAccepted

    def finish(self) -> None:
        self.is_finished = True
        if not self._accepts:
            raise NotAccepted

    def abort(self, reason: str) -> None:
        self.aborted = reason


PIECES = st.lists(st.binary(min_size=1, max_size=50), max_size=12)
SIZES = st.lists(st.integers(1, 70), min_size=1, max_size=5)


def taken(body: InspectedBody, sizes: list[int], at_most: int | None = None) -> bytes:
    """All that it gives, read so; and no read but the last gives less than was asked for."""
    got = b""
    for size in cycle(sizes):
        part = body.read(size)
        got += part
        if len(part) < size or (at_most is not None and len(got) >= at_most):
            return got + body.read()
    raise AssertionError


@given(PIECES, SIZES, st.booleans(), st.booleans())
def test_what_is_accepted_arrives_byte_for_byte(
    pieces: list[bytes], sizes: list[int], tells: bool, chunks: bool
) -> None:
    data, inspection = b"".join(pieces), Inspection()
    body = InspectedBody(
        Pieces(pieces), len(data) if tells else None, lambda: inspection, is_chunked=chunks or not tells
    )
    assert taken(body, sizes) == data == inspection.seen
    assert (body.whole, body.taken, body.wrong) == (True, len(data), None)
    assert body.read(1) == b""


@given(PIECES, SIZES, st.booleans(), st.booleans())
def test_never_all_of_it_is_handed_on_before_it_is_accepted(
    pieces: list[bytes], sizes: list[int], tells: bool, chunks: bool
) -> None:
    """Glance may stop at the announced length: what is there then must not be the image."""
    data, inspection = b"".join(pieces), Inspection(accepts=False)
    body = InspectedBody(
        Pieces(pieces), len(data) if tells else None, lambda: inspection, is_chunked=chunks or not tells
    )
    got = b""
    with pytest.raises(NotAccepted):
        for size in cycle(sizes):
            assert not inspection.is_finished
            got += body.read(size)
    assert len(got) < len(data) or not data
    assert data.startswith(got)
    for _ in range(3):
        with pytest.raises(NotAccepted):
            body.read(1)
    assert not body.whole


@given(PIECES.filter(bool), SIZES, st.data())
def test_after_a_refusal_in_the_middle_nothing_is_given(
    pieces: list[bytes], sizes: list[int], data: st.DataObject
) -> None:
    whole = b"".join(pieces)
    after = data.draw(st.integers(0, len(whole) - 1))
    inspection = Inspection(refuses_after=after)
    body = InspectedBody(Pieces(pieces), data.draw(st.sampled_from([None, len(whole)])), lambda: inspection)
    got = b""
    with pytest.raises(NotAccepted):
        for size in cycle(sizes):
            got += body.read(size)
    assert len(got) <= after
    seen = inspection.seen
    with pytest.raises(NotAccepted):
        body.read()
    assert inspection.seen == seen


@given(PIECES, SIZES, st.integers(-60, 60), st.booleans())
def test_another_length_than_was_announced_is_never_whole(
    pieces: list[bytes], sizes: list[int], off: int, chunks: bool
) -> None:
    data, inspection = b"".join(pieces), Inspection()
    length = max(0, len(data) + off)
    is_wrong = length > len(data) or (length < len(data) and chunks)
    body = InspectedBody(Pieces(pieces), length, lambda: inspection, is_chunked=chunks)
    if not is_wrong:  # a server gives no more than Content-Length; what follows is the next request
        assert taken(body, sizes, length) == data[:length] == inspection.seen
        return
    got = b""
    with pytest.raises(NotAccepted):
        for size in cycle(sizes):
            got += body.read(size)
    assert len(got) < length or not length
    assert "announced bytes" in (body.wrong or "")
    assert inspection.aborted is not None
    assert not inspection.is_finished


@given(PIECES, st.sampled_from([None, 1000]))
def test_a_client_that_dies_is_told_as_it_is_and_ends_the_inspection(pieces: list[bytes], length: int | None) -> None:
    inspection = Inspection()
    body = InspectedBody(Pieces(pieces, OSError("it is gone")), length, lambda: inspection)
    with pytest.raises(OSError, match="it is gone"):
        body.read()
    assert inspection.aborted is not None
    with pytest.raises(NotAccepted):
        body.read(1)


def test_a_server_that_gives_more_than_was_asked_for_is_not_believed() -> None:
    class Generous:
        def read(self, size: int) -> bytes:
            return bytes(size + 1)

    inspection = Inspection()
    with pytest.raises(NotAccepted):
        InspectedBody(Generous(), 10, lambda: inspection).read(10)
    assert not inspection.is_finished


def test_nothing_is_inspected_that_nobody_reads() -> None:
    body = InspectedBody(Pieces([b"x"]), 1, lambda: pytest.fail("it was begun"))
    assert body.read(0) == b""
    body.settle()
    body.end("over")


def test_a_body_of_no_bytes_is_inspected_though_nobody_reads() -> None:
    inspection = Inspection()
    body = InspectedBody(Pieces([]), 0, lambda: inspection)
    body.settle()
    assert inspection.is_finished
    assert body.whole


def test_it_is_a_file_as_wsgi_wants_it() -> None:
    """PEP 3333: read, readline, readlines, iteration."""

    def body() -> InspectedBody:
        return InspectedBody(Pieces([b"one\ntw", b"o\nthree"]), None, Inspection)

    lines = [b"one\n", b"two\n", b"three"]
    assert list(body()) == body().readlines() == lines
    assert body().readline() == b"one\n"
    assert body().readline(2) == b"on"
    assert body().read(None) == body().read() == b"".join(lines)
