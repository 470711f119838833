"""What a tenant reads of a failure, and what only the operator reads."""

from __future__ import annotations

import pytest

from douane import errors
from douane.imports.failures import TENANTS_CODES, failure_in, failure_of, general_sentence
from douane.imports.results import report_document
from douane.report import Bytes, Report, Verdict

SECRET = "/srv/secret is away: postgresql://douane:pw@db.internal/"


def classes(error: type[errors.DouaneError]) -> list[type[errors.DouaneError]]:
    return [error, *(each for child in error.__subclasses__() for each in classes(child))]


CASES = sorted({(error, code) for error in classes(errors.DouaneError) for code in {error.code, *error.codes}}, key=str)
OF_THE_IMAGE = (errors.SourceError, errors.LimitExceeded)
OF_STATES = (errors.Conflict, errors.NotFound)


def report(code: str, outcome: str = "undecided", *verdicts: Verdict) -> Report:
    return Report(
        outcome=outcome,  # type: ignore[arg-type]
        code=code,
        message=SECRET,
        verdicts=list(verdicts),
        received=Bytes(size=0, complete=False),
        stored=Bytes(size=0, complete=False),
        sandbox="strict",
        temporary_bytes=0,
        seconds=0.0,
    )


@pytest.mark.parametrize(("error", "code"), CASES)
def test_a_tenant_reads_the_sentence_of_an_error_about_the_image_only(
    error: type[errors.DouaneError], code: str
) -> None:
    is_conflict = issubclass(error, errors.Conflict)
    raised = error(SECRET, code=code, actual="a", expected="b") if is_conflict else error(SECRET, code=code)  # type: ignore[call-arg]
    why = failure_of(raised)
    assert why.code == code
    if issubclass(error, OF_STATES) or (issubclass(error, OF_THE_IMAGE) and code in TENANTS_CODES):
        assert (why.message, why.detail) == (SECRET, None)
        assert why.document() is None
    else:
        assert SECRET not in why.message
        assert why.detail == SECRET
        assert (why.document() or {})["detail"] == SECRET


@pytest.mark.parametrize(("error", "code"), CASES)
def test_of_a_store_that_failed_a_tenant_reads_its_name_only(error: type[errors.DouaneError], code: str) -> None:
    is_conflict = issubclass(error, errors.Conflict)
    raised = error(SECRET, code=code, actual="a", expected="b") if is_conflict else error(SECRET, code=code)  # type: ignore[call-arg]
    why = failure_of(raised, "second")
    assert "'second'" in why.message
    assert "/srv" not in why.message
    assert why.detail == SECRET


@pytest.mark.parametrize("code", sorted({code for _, code in CASES} - TENANTS_CODES))
def test_a_run_that_the_service_could_not_end_hides_its_reason(code: str) -> None:
    document = report_document(report(code))
    assert document["message"] == failure_in(report(code)).message == general_sentence(code)
    assert document["detail"] == SECRET


def test_what_a_plugin_decided_is_the_tenants() -> None:
    verdict = Verdict(plugin="judge", outcome="deferred", code="store-io", message=SECRET, decisive=True)
    for each in (report("store-io", "undecided", verdict), report("bad", "refused", verdict)):
        assert report_document(each)["message"] == SECRET
        assert "detail" not in report_document(each)
