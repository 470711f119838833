"""The reason that a tenant reads, from the report or the error of an inspection that did not accept the image."""

from __future__ import annotations

from douane.engine import Report
from douane.errors import AgentError, DouaneError

from .outcome import UNDECIDED, Reason


def reason_of(report: Report | None, error: DouaneError | None) -> Reason:
    """The reason for the tenant. Faults of this service go into the operator's log instead."""
    if report is not None and report.outcome == "refused":
        message = report.message or "it does not meet the rules of this site"
        return Reason("refused", report.code or "refused", f"The image is refused: {message}")
    if report is not None and report.retry_after is not None:
        message = report.message or "try again later"
        text = f"The image cannot be checked now: {message}"
        return Reason("deferred", report.code or "deferred", text, report.retry_after)
    if report is None and isinstance(error, AgentError) and error.retry_after is not None:
        text = "Too many images are being checked now, so this one is not let in. Try again later"
        return Reason("deferred", error.code, text, error.retry_after)
    code = report.code if report is not None else error.code if error is not None else None
    return Reason("undecided", code or "undecided", UNDECIDED.message)
