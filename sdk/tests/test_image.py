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
def test_iteration_yields_every_byte_once_in_order(image):
    data, parts = image
    assert b"".join(bytes(chunk) for chunk in Image({}, Parts(parts))) == data


@given(images(), st.lists(st.integers(0, 70), max_size=12))
def test_reads_and_iteration_yield_every_byte_once_in_order(image, lengths):
    data, parts = image
    image_view = Image({}, Parts(parts))
    at = 0
    for length in lengths:
        part = image_view.read(length)
        assert part == data[at : at + length]
        at += len(part)
        assert image_view.offset == at
    assert b"".join(bytes(chunk) for chunk in image_view) == data[at:]
    assert image_view.offset == len(data)


@given(images(), st.integers(1, 40), st.data())
def test_windows_begin_at_the_contracts_offsets_for_all_cuts(image, size, data):
    content, parts = image
    overlap = data.draw(st.integers(0, size - 1))
    expected, start = [], 0
    while start + (overlap if start else 0) < len(content):
        expected.append(content[start : start + size])
        start += size - overlap
    assert [bytes(window) for window in Image({}, Parts(parts)).windows(size, overlap)] == expected


@given(st.binary(min_size=1, max_size=8), st.binary(max_size=100), st.binary(max_size=100), st.data())
def test_a_pattern_no_longer_than_overlap_plus_one_is_in_some_window(pattern, prefix, suffix, data):
    content = prefix + pattern + suffix
    parts = cut(content, data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    windows = Image({}, Parts(parts)).windows(16, len(pattern) - 1)
    assert any(pattern in bytes(window) for window in windows)


def test_using_a_chunk_after_the_next_one_raises():
    image = Image({}, Parts([b"first", b"second"]))
    first = next(image)
    next(image)
    with pytest.raises(ValueError, match="released"):
        first[0]


def test_using_a_chunk_after_a_read_raises():
    image = Image({}, Parts([b"first", b"second"]))
    first = next(image)
    image.read(2)
    with pytest.raises(ValueError, match="released"):
        bytes(first)


def test_using_a_window_after_the_next_one_raises():
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
def test_a_kept_slice_of_a_window_never_shows_other_bytes(parts, size, data):
    """The memory of windows that straddle chunks is used again, unless a view of it lives."""
    slices = []
    for window in Image({}, Parts(parts)).windows(*size):
        if data.draw(st.booleans()):
            slices.append((window[1:], bytes(window[1:])))
        elif slices and data.draw(st.booleans()):
            slices.pop()
    for view, expected in slices:
        assert bytes(view) == expected


def test_chunks_cannot_be_written():
    chunk = next(Image({}, Parts([b"first"])))
    with pytest.raises(TypeError):
        chunk[0] = 1


@pytest.mark.parametrize("length", [-1, None, "4", True, 1.0])
def test_read_takes_only_a_number_of_bytes(length):
    with pytest.raises(ValueError, match="number of bytes"):
        Image({}, Parts([b"abc"])).read(length)


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (4, 4), (4, -1), (4, 5), ("4", 0), (4, True)])
def test_windows_that_would_not_advance_are_refused(size, overlap):
    with pytest.raises(ValueError, match="windows"):
        Image({}, Parts([b"abc"])).windows(size, overlap)


def test_reading_beyond_the_declared_head_raises():
    image = Image({}, Parts([b"12345678"], goes_on=True), reads="head:8")
    assert image.read(8) == b"12345678"
    with pytest.raises(ValueError, match="head:8"):
        image.read(1)


def test_an_image_shorter_than_the_head_ends():
    image = Image({}, Parts([b"123"]), reads="head:8")
    assert image.read(8) == b"123"
    assert image.read(8) == b""


def test_declared_facts_are_read_only():
    image = Image({"name": "n", "size": 3, "disk_format": "raw", "properties": {"a": "b"}}, Parts([]))
    assert (image.name, image.size, image.disk_format, image.container_format) == ("n", 3, "raw", None)
    assert dict(image.properties) == {"a": "b"}
    with pytest.raises(AttributeError):
        image.size = 4
    with pytest.raises(TypeError):
        image.properties["a"] = "c"


@pytest.mark.parametrize("name", ["file", "path"])
def test_only_random_access_has_a_file(name):
    with pytest.raises(ValueError, match="random"):
        getattr(Image({}, Parts([])), name)


@pytest.mark.parametrize("call", [lambda image: image.becomes(disk_format="raw"), lambda image: image.unchanged()])
def test_an_inspector_cannot_change_the_image(call):
    with pytest.raises(ValueError, match="transform"):
        call(Image({}, Parts([])))
