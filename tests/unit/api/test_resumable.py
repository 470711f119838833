"""The headers of resumable uploads: any text is read or refused, and lengths fit together or are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.api.errors import HttpError
from douane.api.transfer.resumable import (
    PartHeaders,
    begins_open_upload,
    limits_of,
    read_part_headers,
    require_size,
    whole_length,
)

NUMBERS = st.none() | st.integers(0, 40)


@given(st.dictionaries(st.sampled_from(["upload-complete", "upload-offset", "upload-length"]), st.text(max_size=20)))
def test_any_header_is_read_or_refused(headers: dict[str, str]) -> None:
    try:
        part = read_part_headers(headers)
    except HttpError as error:
        assert error.status == 400
        return
    values = {"upload-complete": part.is_last, "upload-offset": part.offset, "upload-length": part.length}
    assert {name for name, value in values.items() if value is not None} == set(headers)
    for number in (part.offset, part.length):
        assert number is None or 0 <= number < 10**15


@pytest.mark.parametrize(
    ("text", "value"),
    [("?1", True), ("?0", False), (" ?1 ", True), ("?1;a=b", True)],
)
def test_a_boolean_of_structured_fields(text: str, value: bool) -> None:
    assert read_part_headers({"upload-complete": text}).is_last is value


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("10;x", 10)])
def test_an_integer_of_structured_fields(text: str, value: int) -> None:
    assert read_part_headers({"upload-offset": text}).offset == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("Upload-Complete", text) for text in ("?2", "1", "?1, ?0", "")]
    + [(name, text) for name in ("Upload-Offset", "Upload-Length") for text in ("-0", "1.0", "1, 2", "9" * 16, "")],
)
def test_a_malformed_value_does_not_count_as_absent(name: str, text: str) -> None:
    with pytest.raises(HttpError, match=name) as caught:
        read_part_headers({name.lower(): text})
    assert caught.value.status == 400


@given(length=NUMBERS, announced=NUMBERS, part=NUMBERS, offset=st.integers(0, 40), last=st.booleans())
def test_lengths_fit_together_or_are_refused(
    length: int | None, announced: int | None, part: int | None, offset: int, last: bool
) -> None:
    headers = PartHeaders(is_last=last, length=length, part=part, offset=offset)
    end = None if part is None else offset + part
    lengths = {number for number in (length, announced, end if last else None) if number is not None}
    try:
        result = whole_length(headers, offset, announced)
    except HttpError as error:
        assert error.status == 400 and error.problem is not None
        assert len(lengths) > 1 or max(offset, end or 0) > min(lengths)
    else:
        assert lengths == (set() if result is None else {result})
        assert result is None or max(offset, end or 0) <= result


def test_only_a_part_of_this_version_begins_an_open_upload() -> None:
    assert begins_open_upload(PartHeaders(is_last=False, version="8"))
    for is_last in (True, None):
        assert not begins_open_upload(PartHeaders(is_last=is_last, version="3"))
    for version in (None, "7", "eight"):
        with pytest.raises(HttpError) as caught:
            begins_open_upload(PartHeaders(is_last=False, version=version))
        assert caught.value.status == 400


def test_a_size_above_the_limit_is_413_with_the_limits() -> None:
    limits = limits_of(10, 60.9)
    assert limits == {"max-size": 10, "max-age": 60}
    assert limits_of(None, -1) == {"min-size": 0, "max-age": 0}
    require_size(10, PartHeaders(part=10), 0, limits)
    for length, offset, part in ((11, 0, 0), (None, 5, 6)):
        with pytest.raises(HttpError) as caught:
            require_size(length, PartHeaders(part=part), offset, limits)
        assert (caught.value.status, caught.value.headers["Upload-Limit"]) == (413, "max-size=10, max-age=60")
