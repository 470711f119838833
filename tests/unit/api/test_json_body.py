"""JSON bodies and request ids: what is read, and what is refused with which code."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.api.errors import HttpError
from douane.api.request_ids import make_request_id, read_global_id
from douane.api.requests.bounds import BODY_DEPTH
from douane.api.requests.json_body import first_double, read_json, read_object


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "no body"),
        (b"  \n", 400, "no body"),
        (b"{", 400, "not JSON"),
        (b"{'a': 1}", 400, "not JSON"),
        (b"\xef\xbb\xbf{}", 400, "not JSON"),
        (b'{"a": "\xff"}', 400, "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), 400, "not UTF-8"),
        (b'{"a": 1, "a": 2}', 400, "'a' twice"),
        (b'{"a": NaN}', 400, "number"),
        (b'{"a": 1e999}', 400, "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", 400, "too long"),
        (b'{"a": "\\ud800"}', 400, "not text"),
        (b'{"a\\u0000": 1}', 400, "not text"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "inside each other"),
        (b"[" * (BODY_DEPTH + 2) + b"]" * (BODY_DEPTH + 2), 400, "inside each other"),
        (b" " * 300_000, 413, "more than 262144 bytes"),
    ],
)
def test_a_body_that_is_no_good_json_is_refused(body: bytes, status: int, words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        read_json(body)
    assert error.value.status == status


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"7", b"null", b"true"])
def test_a_body_that_must_be_an_object_is_one(body: bytes) -> None:
    with pytest.raises(HttpError, match="must be a JSON object, not"):
        read_object(body)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_any_json_of_some_levels_is_read_as_it_was_written(value: object) -> None:
    assert read_json(json.dumps([value]).encode()) == [value]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_sentence(body: bytes) -> None:
    try:
        read_json(body)
    except HttpError as error:
        assert error.status == 400 and error.message


def test_a_request_id_is_new_each_time_and_can_be_read_back() -> None:
    first, second = make_request_id(), make_request_id()
    assert first != second
    assert read_global_id(first) == first


@pytest.mark.parametrize("value", [None, "", "x", "req-", "req-a b", "req-a\r\nX: y", "REQ-1"])
def test_a_global_id_of_another_form_is_ignored(value: str | None) -> None:
    assert read_global_id(value) is None


def test_a_global_id_that_is_too_long_is_refused() -> None:
    with pytest.raises(HttpError, match="64 characters") as error:
        read_global_id("req-" + "a" * 61)
    assert error.value.status == 431


class Counted(str):
    """A key that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)


def test_a_key_that_occurs_twice_is_looked_for_in_one_pass() -> None:
    """20,000 keys compared each with each would hold up all other requests for seconds."""
    names = [Counted(number) for number in range(2000)]
    Counted.comparisons = 0
    assert first_double([*names, Counted("twice"), Counted("twice")]) == "twice"
    assert Counted.comparisons < 4 * len(names)


def test_the_key_that_occurs_twice_is_named() -> None:
    body = "{" + ",".join(f'"k{number}": 1' for number in range(2000)) + ', "x": 1, "x": 2}'
    with pytest.raises(HttpError, match="'x' twice"):
        read_json(body.encode())
