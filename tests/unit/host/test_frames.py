"""Frames from a plugin's process: hostile until they have been decoded."""

from __future__ import annotations

import contextlib
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.host import messages
from douane.host.decoding import decode, decode_answer, decode_description, decode_offset
from douane.host.frames import Channel, pack
from douane.host.messages import Refuse, Violation
from douane_plugin import wire


def received(data: bytes, sizes: list[int]) -> list[tuple[int, bytes]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = Channel(ours)
    frames = []
    try:
        while data:
            size = sizes.pop() if sizes else len(data)
            theirs.sendall(data[:size])
            data = data[size:]
            channel.receive()
            frames += list(channel.frames())
    finally:
        ours.close()
        theirs.close()
    return frames


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=200)), max_size=8), st.data())
def test_frames_arrive_whole_however_the_stream_is_cut(frames, data) -> None:
    stream = b"".join(
        kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload for kind, payload in frames
    )
    sizes = data.draw(st.lists(st.integers(1, 40), max_size=100))
    assert received(stream, sizes) == frames


def test_a_frame_that_announces_too_much_is_a_violation() -> None:
    with pytest.raises(Violation, match="frame of 4294967295 bytes"):
        received(b"\x06\0\0\0\xff\xff\xff\xff", [])


@given(st.binary(max_size=300))
def test_random_bytes_are_a_violation_or_a_message(payload) -> None:
    for kind in (wire.ACCEPT, wire.REFUSE, wire.DEFER, wire.INCOMPLETE):
        with contextlib.suppress(Violation):
            assert isinstance(decode_answer(kind, payload), messages.Answer)
    with contextlib.suppress(Violation):
        assert isinstance(decode_description(payload), messages.Described)
    with contextlib.suppress(Violation):
        assert decode_offset(4, payload) >= 0


@pytest.mark.parametrize("kind", [wire.ACCEPT, wire.REFUSE, wire.DEFER, wire.INCOMPLETE])
@pytest.mark.parametrize("payload", [b"[]", b"{", b"[" * 100_000, b'{"seen":"\xff"}', b'{"code": ' + b"[" * 100_000])
def test_json_that_is_no_answer_is_a_violation(kind, payload) -> None:
    with pytest.raises(Violation):
        decode_answer(kind, payload)


@pytest.mark.parametrize("code", [{}, {"code": 1}, {"code": None}, {"code": ["x"]}, {"code": "A B"}])
def test_a_code_that_is_no_text_is_a_violation(code) -> None:
    with pytest.raises(Violation, match="code"):
        decode_answer(wire.REFUSE, msgspec.json.encode({**code, "message": "m"}))


@pytest.mark.parametrize("message", [{}, {"message": 1}, {"message": None}])
def test_a_message_that_is_no_text_is_a_violation(message) -> None:
    with pytest.raises(Violation, match="message"):
        decode_answer(wire.REFUSE, msgspec.json.encode({**message, "code": "c"}))


@pytest.mark.parametrize("delay", [None, -1, 0, True, "3", 1e10])
def test_an_invalid_retry_delay_is_a_violation(delay) -> None:
    with pytest.raises(Violation, match="invalid 'retry_after'"):
        decode_answer(wire.DEFER, msgspec.json.encode({"retry_after": delay, "message": "m"}))


@pytest.mark.parametrize("count", [None, -1, True, "3", 1.5])
def test_a_count_of_bytes_that_is_none_is_ignored(count) -> None:
    assert decode_answer(wire.ACCEPT, msgspec.json.encode({"seen": count})).seen is None


def test_a_packed_frame_is_read_back() -> None:
    [(kind, payload)] = received(pack(17, Refuse("m", "x")), [])
    assert (kind, decode(kind, payload, Refuse)) == (17, Refuse("m", "x"))
