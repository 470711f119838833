"""What a plugin can rely on when it reads an image, however the chunks happen to fall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_plugin import Image


class Parts:
    """A source of chunks cut at chosen places."""

    ended = False

    def __init__(self, parts, goes_on=False):
        self._parts = [part for part in parts if part]
        self.goes_on = goes_on

    def take(self):
        return memoryview(self._parts.pop(0)) if self._parts else None


def cut(data, places):
    edges = [0, *sorted(places), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:])]


@st.composite
def images(draw):
    data = draw(st.binary(max_size=300))
    return data, cut(data, draw(st.lists(st.integers(0, len(data)), max_size=8)))


@given(images())
def test_iteration_gives_every_byte_once_in_order(image):
    data, parts = image
    assert b"".join(bytes(chunk) for chunk in Image({}, Parts(parts))) == data


@given(images(), st.lists(st.integers(0, 70), max_size=12))
def test_reads_then_iteration_give_every_byte_once_in_order(image, lengths):
    data, parts = image
    seen = Image({}, Parts(parts))
    at = 0
    for length in lengths:
        part = seen.read(length)
        assert part == data[at : at + length]
        at += len(part)
        assert seen.offset == at
    assert b"".join(bytes(chunk) for chunk in seen) == data[at:]
    assert seen.offset == len(data)


@given(images(), st.integers(1, 40), st.data())
def test_windows_stand_where_the_contract_says_whatever_the_chunks(image, size, data):
    content, parts = image
    overlap = data.draw(st.integers(0, size - 1))
    expected, start = [], 0
    while start + (overlap if start else 0) < len(content):
        expected.append(content[start : start + size])
        start += size - overlap
    assert [bytes(window) for window in Image({}, Parts(parts)).windows(size, overlap)] == expected


@given(st.binary(min_size=1, max_size=8), st.binary(max_size=100), st.binary(max_size=100), st.data())
def test_a_pattern_no_longer_than_overlap_plus_one_is_in_some_window(pattern, before, after, data):
    content = before + pattern + after
    parts = cut(content, data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    windows = Image({}, Parts(parts)).windows(16, len(pattern) - 1)
    assert any(pattern in bytes(window) for window in windows)


def test_a_chunk_used_after_the_next_was_asked_for_raises():
    image = Image({}, Parts([b"first", b"second"]))
    first = next(image)
    next(image)
    with pytest.raises(ValueError, match="released"):
        first[0]


def test_a_chunk_used_after_read_raises():
    image = Image({}, Parts([b"first", b"second"]))
    first = next(image)
    image.read(2)
    with pytest.raises(ValueError, match="released"):
        bytes(first)


def test_a_window_used_after_the_next_was_asked_for_raises():
    windows = Image({}, Parts([b"abcdef", b"ghijkl"])).windows(4, 1)
    first = next(windows)
    next(windows)
    with pytest.raises(ValueError, match="released"):
        bytes(first)


@given(
    st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=12),
    st.integers(1, 9).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))),
    st.data(),
)
def test_a_slice_of_a_window_that_is_kept_never_shows_other_bytes(parts, size, data):
    """Windows that straddle chunks are copied into memory that is used again, but not under a view of it."""
    kept = []
    for window in Image({}, Parts(parts)).windows(*size):
        if data.draw(st.booleans()):
            kept.append((window[1:], bytes(window[1:])))
        elif kept and data.draw(st.booleans()):
            kept.pop()
    for view, told in kept:
        assert bytes(view) == told


def test_chunks_cannot_be_written():
    chunk = next(Image({}, Parts([b"first"])))
    with pytest.raises(TypeError):
        chunk[0] = 1


@pytest.mark.parametrize("length", [-1, None, "4", True, 1.0])
def test_read_takes_a_number_of_bytes_and_nothing_else(length):
    with pytest.raises(ValueError, match="number of bytes"):
        Image({}, Parts([b"abc"])).read(length)


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (4, 4), (4, -1), (4, 5), ("4", 0), (4, True)])
def test_windows_that_would_not_advance_are_refused_at_once(size, overlap):
    with pytest.raises(ValueError, match="windows"):
        Image({}, Parts([b"abc"])).windows(size, overlap)


def test_reading_beyond_what_was_declared_says_so():
    image = Image({}, Parts([b"12345678"], goes_on=True), reads="head:8")
    assert image.read(8) == b"12345678"
    with pytest.raises(ValueError, match="head:8"):
        image.read(1)


def test_an_image_that_is_shorter_than_the_head_just_ends():
    image = Image({}, Parts([b"123"]), reads="head:8")
    assert image.read(8) == b"123"
    assert image.read(8) == b""


def test_what_was_declared_is_there_and_read_only():
    image = Image({"name": "n", "size": 3, "disk_format": "raw", "properties": {"a": "b"}}, Parts([]))
    assert (image.name, image.size, image.disk_format, image.container_format) == ("n", 3, "raw", None)
    assert dict(image.properties) == {"a": "b"}
    with pytest.raises(AttributeError):
        image.size = 4
    with pytest.raises(TypeError):
        image.properties["a"] = "c"


@pytest.mark.parametrize("name", ["file", "path"])
def test_the_file_is_only_for_those_who_said_random(name):
    with pytest.raises(ValueError, match="random"):
        getattr(Image({}, Parts([])), name)


@pytest.mark.parametrize("call", [lambda image: image.becomes(disk_format="raw"), lambda image: image.unchanged()])
def test_an_inspector_cannot_change_the_image(call):
    with pytest.raises(ValueError, match="transform"):
        call(Image({}, Parts([])))
