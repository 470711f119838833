"""Glance gets the bytes that arrived and were inspected, and never all of them before the image is accepted."""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.glance.upload.body import InspectedBody, NotAccepted
from support.fake_glance import Pieces


class Inspection:
    """Accepts or refuses the image at its end, or refuses it after so many bytes."""

    def __init__(self, *, refuses_after: int | None = None, accepts: bool = True) -> None:
        self.data = b""
        self.is_finished = False
        self.abort_reason: str | None = None
        self._refuses_after = refuses_after
        self._accepts = accepts

    def write(self, data: bytes) -> None:
        assert data
        self.data += data
        if self._refuses_after is not None and len(self.data) > self._refuses_after:
            raise NotAccepted

    def finish(self) -> None:
        self.is_finished = True
        if not self._accepts:
            raise NotAccepted

    def abort(self, reason: str) -> None:
        self.abort_reason = reason


PIECES = st.lists(st.binary(min_size=1, max_size=50), max_size=12)
SIZES = st.lists(st.integers(1, 70), min_size=1, max_size=5)


def read_all(body: InspectedBody, sizes: list[int], at_most: int | None = None) -> bytes:
    """The bytes of the body, read in these sizes: no read but the last returns fewer."""
    data = b""
    for size in cycle(sizes):
        part = body.read(size)
        data += part
        if len(part) < size or (at_most is not None and len(data) >= at_most):
            return data + body.read()
    raise AssertionError


@given(PIECES, SIZES, st.booleans(), st.booleans())
def test_accepted_bytes_arrive_unchanged(
    pieces: list[bytes], sizes: list[int], is_announced: bool, chunks: bool
) -> None:
    data, inspection = b"".join(pieces), Inspection()
    body = InspectedBody(
        Pieces(pieces), len(data) if is_announced else None, lambda: inspection, is_chunked=chunks or not is_announced
    )
    assert read_all(body, sizes) == data == inspection.data
    assert (body.is_complete, body.received, body.length_error) == (True, len(data), None)
    assert body.read(1) == b""


@given(PIECES, SIZES, st.booleans(), st.booleans())
def test_glance_never_has_all_bytes_before_the_image_is_accepted(
    pieces: list[bytes], sizes: list[int], is_announced: bool, chunks: bool
) -> None:
    """Glance may stop at the announced length: then it must not have the complete image."""
    data, inspection = b"".join(pieces), Inspection(accepts=False)
    body = InspectedBody(
        Pieces(pieces), len(data) if is_announced else None, lambda: inspection, is_chunked=chunks or not is_announced
    )
    received = b""
    with pytest.raises(NotAccepted):
        for size in cycle(sizes):
            assert not inspection.is_finished
            received += body.read(size)
    assert len(received) < len(data) or not data
    assert data.startswith(received)
    for _ in range(3):
        with pytest.raises(NotAccepted):
            body.read(1)
    assert not body.is_complete


@given(PIECES.filter(bool), SIZES, st.data())
def test_no_byte_follows_an_early_refusal(pieces: list[bytes], sizes: list[int], data: st.DataObject) -> None:
    image = b"".join(pieces)
    refused_after = data.draw(st.integers(0, len(image) - 1))
    inspection = Inspection(refuses_after=refused_after)
    body = InspectedBody(Pieces(pieces), data.draw(st.sampled_from([None, len(image)])), lambda: inspection)
    received = b""
    with pytest.raises(NotAccepted):
        for size in cycle(sizes):
            received += body.read(size)
    assert len(received) <= refused_after
    inspected = inspection.data
    with pytest.raises(NotAccepted):
        body.read()
    assert inspection.data == inspected


@given(PIECES, SIZES, st.integers(-60, 60), st.booleans())
def test_a_body_of_another_length_than_announced_is_never_complete(
    pieces: list[bytes], sizes: list[int], difference: int, chunks: bool
) -> None:
    data, inspection = b"".join(pieces), Inspection()
    length = max(0, len(data) + difference)
    is_error = length > len(data) or (length < len(data) and chunks)
    body = InspectedBody(Pieces(pieces), length, lambda: inspection, is_chunked=chunks)
    if not is_error:  # a server reads no more than Content-Length; the rest is the next request
        assert read_all(body, sizes, length) == data[:length] == inspection.data
        return
    received = b""
    with pytest.raises(NotAccepted):
        for size in cycle(sizes):
            received += body.read(size)
    assert len(received) < length or not length
    assert "announced bytes" in (body.length_error or "")
    assert inspection.abort_reason is not None
    assert not inspection.is_finished


@given(PIECES, st.sampled_from([None, 1000]))
def test_an_error_of_the_client_ends_the_inspection(pieces: list[bytes], length: int | None) -> None:
    inspection = Inspection()
    body = InspectedBody(Pieces(pieces, OSError("it is gone")), length, lambda: inspection)
    with pytest.raises(OSError, match="it is gone"):
        body.read()
    assert inspection.abort_reason is not None
    with pytest.raises(NotAccepted):
        body.read(1)


def test_a_server_that_returns_too_many_bytes_is_an_error() -> None:
    class Generous:
        def read(self, size: int) -> bytes:
            return bytes(size + 1)

    inspection = Inspection()
    with pytest.raises(NotAccepted):
        InspectedBody(Generous(), 10, lambda: inspection).read(10)
    assert not inspection.is_finished


def test_an_unread_body_is_not_inspected() -> None:
    body = InspectedBody(Pieces([b"x"]), 1, lambda: pytest.fail("it was begun"))
    assert body.read(0) == b""
    body.read_if_empty()
    body.abandon("over")


def test_an_empty_body_is_inspected_unread() -> None:
    inspection = Inspection()
    body = InspectedBody(Pieces([]), 0, lambda: inspection)
    body.read_if_empty()
    assert inspection.is_finished
    assert body.is_complete


def test_the_body_is_a_wsgi_input() -> None:
    """PEP 3333: read, readline, readlines, iteration."""

    def body() -> InspectedBody:
        return InspectedBody(Pieces([b"one\ntw", b"o\nthree"]), None, Inspection)

    lines = [b"one\n", b"two\n", b"three"]
    assert list(body()) == body().readlines() == lines
    assert not hasattr(body(), "close")  # Glance would call it
    assert body().readline() == b"one\n"
    assert body().readline(2) == b"on"
    assert body().read(None) == body().read() == b"".join(lines)
