"""Error answers (IMAGE-API 1.3), and a status code for every error of Douane."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from douane import errors
from douane.api.errors import (
    BROKEN_CODES,
    STATUS_OF_CODE,
    UNAVAILABLE_CODES,
    HttpError,
    error_body,
    http_error,
    method_not_allowed,
    quoted,
    unauthenticated,
)


def classes(parent: type[errors.DouaneError]) -> Iterator[type[errors.DouaneError]]:
    yield parent
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from classes(child)


CASES = sorted({(error, code) for error in classes(errors.DouaneError) for code in {error.code, *error.codes}}, key=str)


def make(error: type[errors.DouaneError], code: str) -> errors.DouaneError:
    if issubclass(error, errors.Conflict):
        return error("cannot: /srv/secret", code=code, actual="a", expected="b")
    return error("cannot: /srv/secret", code=code)


def test_every_code_of_douane_is_in_exactly_one_list() -> None:
    codes = [code for _, code in CASES]
    lists = (set(STATUS_OF_CODE), set(UNAVAILABLE_CODES), set(BROKEN_CODES))
    assert set(codes) == set.union(*lists)
    assert sum(map(len, lists)) == len(set.union(*lists))


@pytest.mark.parametrize(("error", "code"), CASES)
def test_every_error_has_a_status_and_an_error_of_the_server_hides_its_sentence(
    error: type[errors.DouaneError], code: str
) -> None:
    answer = http_error(make(error, code))
    assert 400 <= answer.status <= 503
    if answer.status >= 500:
        assert "/srv" not in answer.message
        assert answer.detail == "cannot: /srv/secret"
        assert (answer.status == 503) == ("Retry-After" in answer.headers)
    else:
        assert answer.message == "cannot: /srv/secret"
        assert answer.headers["X-Douane-Code"] == code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("x"), 404),
        (errors.BadValue("x"), 400),
        (errors.Conflict("x", actual="a", expected="b"), 409),
        (errors.Conflict("x", code="property-missing", actual="a", expected="b"), 409),  # no. 9
        (errors.Conflict("x", code="not-shared", actual="a", expected="b"), 403),  # no. 13
        (errors.Conflict("x", code="last-copy", actual="a", expected="b"), 403),  # no. 27
        (errors.Conflict("x", actual="deleted", expected="queued"), 404),  # no. 8
        (errors.Protected("x"), 403),  # no. 10
        (errors.OverQuota("x"), 413),
        (errors.CatalogError("x", code="reserved"), 403),
        (errors.ImageDeleted("x"), 410),  # no. 17: deleted meanwhile
        (errors.SourceError("x", code="truncated"), 400),
        (errors.SourceError("x", code="too-slow"), 408),
        (errors.AgentError("x", code="too-slow"), 503),
        (errors.StoreError("x", code="not-found"), 503),
        (errors.StoreError("x", code="in-use"), 409),  # no. 10: RBD clones
        (errors.StoreError("x", code="store-full"), 503),
    ],
)
def test_the_status_of_an_error(error: errors.DouaneError, status: int) -> None:
    assert http_error(error).status == status


def test_a_busy_agent_says_when_to_come_back() -> None:
    assert http_error(errors.AgentError("x", code="busy", retry_after=11.2)).headers["Retry-After"] == "12"


def test_every_value_of_the_error_body_has_a_message() -> None:
    body = json.loads(error_body(HttpError(409, "the image is active")))
    assert body == {"error": {"code": 409, "title": "Conflict", "message": "the image is active"}}
    # What glanceclient 4.13 does with it (finding 7).
    assert [value.get("message") for value in body.values()] == ["the image is active"]


def test_a_message_is_bounded_and_can_always_be_encoded() -> None:
    body = json.loads(error_body(HttpError(400, "\ud800" + "x" * 100_000)))
    assert len(body["error"]["message"]) <= 4096


def test_what_a_client_wrote_is_quoted_without_control_characters() -> None:
    assert quoted("a\r\nb\x1b[31m" + "c" * 90) == "'a\ufffd\ufffdb\ufffd[31m" + "c" * 51 + "…'"
    assert quoted(7) == "'7'"


def test_a_refused_method_lists_those_that_are_known() -> None:
    error = method_not_allowed("GET")
    assert (error.status, error.headers) == (405, {"Allow": "GET"})


def test_a_missing_token_names_keystone() -> None:
    error = unauthenticated("https://keystone.test:5000")
    assert (error.status, error.headers) == (401, {"WWW-Authenticate": 'Keystone uri="https://keystone.test:5000"'})
