"""The answer to an upload whose bytes were read: never 503, after which some clients send the rest of a file, which is
nothing."""

from __future__ import annotations

import pytest

from douane.api.errors import UNAVAILABLE_CODES, HttpError, over_quota
from douane.api.transfer.upload_answers import after_body
from douane.errors import CatalogError, DouaneError, StoreError

AWAY = CatalogError("the catalog at db.example failed", code="catalog-io")


@pytest.mark.parametrize("code", sorted(UNAVAILABLE_CODES))
def test_what_is_unavailable_after_the_first_byte_is_500(code: str) -> None:
    for error in (CatalogError("db.example", code=code), StoreError("db.example", code=code)):
        answer = after_body(error, 1)
        assert isinstance(answer, HttpError)
        assert (answer.status, answer.code, answer.detail) == (500, code, "db.example")
        assert "db.example" not in answer.message
        assert "Retry-After" not in answer.headers


def test_before_the_first_byte_it_may_be_asked_for_again() -> None:
    assert after_body(AWAY, 0) is AWAY


def test_a_full_house_after_the_first_byte_is_500() -> None:
    answer = after_body(HttpError(503, "too many requests", headers={"Retry-After": "5"}), 1)
    assert isinstance(answer, HttpError)
    assert (answer.status, answer.detail) == (500, "too many requests")


def test_other_errors_stay_as_they_are() -> None:
    errors: list[DouaneError | HttpError] = [over_quota("too much"), CatalogError("damaged", code="catalog-damaged")]
    assert [after_body(error, 1) for error in errors] == errors
