"""What comes from a plugin's process is hostile until shown otherwise."""

from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.host.frames import Frames, Violation, number, pack, text, unpack


def received(data: bytes, sizes: list[int]):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    frames = Frames(ours)
    found = []
    try:
        while data:
            size = sizes.pop() if sizes else len(data)
            theirs.sendall(data[:size])
            data = data[size:]
            frames.receive()
            found += list(frames)
    finally:
        ours.close()
        theirs.close()
    return found


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=200)), max_size=8), st.data())
def test_frames_arrive_whole_however_the_stream_is_cut(frames, data):
    stream = b"".join(
        kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload for kind, payload in frames
    )
    sizes = data.draw(st.lists(st.integers(1, 40), max_size=100))
    assert received(stream, sizes) == frames


def test_a_frame_that_announces_too_much_is_not_waited_for():
    with pytest.raises(Violation, match="frame of 4294967295 bytes"):
        received(b"\x06\0\0\0\xff\xff\xff\xff", [])


@given(st.binary(max_size=300))
def test_rubbish_is_a_violation_or_an_object_and_nothing_else(payload):
    with contextlib.suppress(Violation):
        assert isinstance(unpack(16, payload), dict)
    with contextlib.suppress(Violation):
        assert number(4, payload) >= 0


def test_deeply_nested_json_is_a_violation():
    with pytest.raises(Violation):
        unpack(16, b"[" * 100_000)


@pytest.mark.parametrize("value", [{}, {"code": 1}, {"code": None}, {"code": ["x"]}])
def test_a_text_that_is_none_is_a_violation(value):
    with pytest.raises(Violation, match="code"):
        text(value, "code")


def test_a_packed_frame_is_read_back():
    [(kind, payload)] = received(pack(17, {"code": "x"}), [])
    assert (kind, unpack(kind, payload)) == (17, {"code": "x"})
