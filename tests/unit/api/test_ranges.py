"""The ranges of a download (IMAGE-API no. 18)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.api.errors import HttpError
from douane.api.requests.ranges import ByteRange, read_range


@pytest.mark.parametrize(
    ("header", "size", "start", "stop"),
    [
        ("bytes=0-9", 100, 0, 10),
        ("bytes=0-0", 1, 0, 1),
        ("bytes=5-", 100, 5, 100),
        ("bytes=99-", 100, 99, 100),
        ("bytes=-10", 100, 90, 100),
        ("bytes=-1000", 100, 0, 100),
        ("bytes=90-1000", 100, 90, 100),
        ("Bytes = 1 - 2", 100, 1, 3),
        ("bytes=0-" + "9" * 30, 100, 0, 100),
        ("bytes=" + "0" * 30 + "7-8", 100, 7, 9),
    ],
)
def test_a_range_of_bytes(header: str, size: int, start: int, stop: int) -> None:
    assert read_range(header, None, size) == ByteRange(start, stop, size)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("bytes=0-1,5-6", 400),
        ("bytes=100-", 416),
        ("bytes=100-200", 416),
        ("bytes=" + "9" * 30 + "-", 416),
        ("bytes=5-4", 416),
        ("bytes=-0", 416),
        ("bytes=-", 416),
        ("bytes", 416),
        ("", 416),
        ("lines=0-1", 416),
        ("bytes=a-b", 416),
        ("bytes=0x1-2", 416),
        ("bytes=1.5-2", 416),
        ("bytes=--5", 416),
        ("bytes=٣-4", 416),
        ("bytes=0-" + " " * 10_000, 416),
    ],
)
def test_a_range_that_cannot_be_served(header: str, status: int) -> None:
    with pytest.raises(HttpError) as error:
        read_range(header, None, 100)
    assert error.value.status == status
    if status == 416:
        assert error.value.headers == {"Content-Range": "bytes */100"}


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0"])
def test_an_empty_image_has_no_range(header: str) -> None:
    with pytest.raises(HttpError) as error:
        read_range(header, None, 0)
    assert error.value.status == 416


@pytest.mark.parametrize("header", ["bytes 0-9/100", "bytes 0-9/*", "BYTES  0 - 9 / *"])
def test_a_content_range_in_a_request_is_taken_as_a_range(header: str) -> None:
    assert read_range(None, header, 100) == ByteRange(0, 10, 100)


@pytest.mark.parametrize(
    "header", ["bytes 0-100/*", "bytes 0-9/99", "bytes 9-0/*", "bytes */100", "bytes=0-9", "", "x"]
)
def test_a_content_range_that_does_not_fit_is_refused(header: str) -> None:
    with pytest.raises(HttpError) as error:
        read_range(None, header, 100)
    assert error.value.status == 416


def test_without_a_header_the_image_is_returned_whole() -> None:
    assert read_range(None, None, 100) is None


def test_range_comes_before_content_range() -> None:
    assert read_range("bytes=1-2", "bytes 5-6/100", 100) == ByteRange(1, 3, 100)


@given(st.integers(0, 40), st.none() | st.integers(0, 50), st.none() | st.integers(0, 50))
def test_a_range_is_the_slice_of_the_bytes(size: int, first: int | None, last: int | None) -> None:
    data = bytes(range(size))
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if first is None:
        expected = data[-last:] if last else b""
    else:
        expected = data[first:] if last is None else data[first : last + 1]
    try:
        part = read_range(header, None, size)
    except HttpError as error:
        assert error.status == 416 and expected == b""
        return
    assert part is not None and expected == data[part.start : part.stop] != b""
    assert part.content_range == f"bytes {part.start}-{part.stop - 1}/{size}"
    assert read_range(None, part.content_range, size) == part


@given(st.text(max_size=30) | st.from_regex(r"bytes[= ][-0-9, */]{0,12}", fullmatch=True), st.integers(0, 2**63 - 1))
def test_any_header_is_a_range_or_is_refused(header: str, size: int) -> None:
    for arguments in ((header, None), (None, header)):
        try:
            part = read_range(*arguments, size)
        except HttpError as error:
            assert error.status in (400, 416)
        else:
            assert part is not None and 0 <= part.start < part.stop <= size
