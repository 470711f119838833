"""Why an import failed, in two parts: what its tenant reads, and what only the operator reads.

The sentence of an error may name folders, hosts and the database. So a tenant reads it only if its code is in
`TENANTS_CODES`: those errors are about the image, or about the request. For all others there is a sentence here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from douane.errors import CatalogError, Conflict, DouaneError, LimitExceeded, NotFound, SourceError
from douane.report import Report

TENANTS_CODES = frozenset({
    "cancelled", "empty", "engine-failed", "expired", "image-deleted", "interrupted",
    "longer-than-announced", "no-worker", "not-allowed", "not-downloaded", "too-slow", "transform-limit", "truncated",
    "unreadable", "wrong-digest",
})  # fmt: skip
"""Codes of failures that no plugin decided, and whose sentence is made for the tenant."""

_FULL = frozenset({"store-full", "target-full", "temporary-full"})
_LOST = frozenset({"damaged", "not-found"})


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed."""

    code: str
    message: str
    """For the tenant."""

    detail: str | None = None
    """For the operator: the sentence of the error, if the tenant does not read it."""

    def document(self) -> dict[str, Any] | None:
        """The report of an attempt that has no other; None if there is nothing beside the sentence."""
        if self.detail is None:
            return None
        return {
            "outcome": "undecided",
            "code": self.code,
            "message": self.message,
            "detail": self.detail,
            "verdicts": [],
        }


def failure_of(error: DouaneError, store_id: str | None = None) -> Failure:
    """The two parts of `error`, which happened in the store `store_id`, if there is one."""
    if store_id is None and _is_for_the_tenant(error):
        return Failure(code=error.code, message=str(error))
    return Failure(code=error.code, message=general_sentence(error.code, store_id), detail=str(error))


def failure_in(report: Report) -> Failure:
    """The two parts of a run that did not accept the image. What a plugin decided is the tenant's."""
    code, message = report.code or "undecided", report.message or "the image could not be decided"
    by_a_plugin = any(verdict.decisive for verdict in report.verdicts)
    if report.outcome == "refused" or by_a_plugin or code in TENANTS_CODES:
        return Failure(code=code, message=message)
    return Failure(code=code, message=general_sentence(code), detail=message)


def general_sentence(code: str, store_id: str | None = None) -> str:
    """What a tenant reads of a failure of the service."""
    place = "its store" if store_id is None else f"the store {store_id!r}"
    if code in _FULL:
        return f"the image could not be stored, because {place} has no room; import it again later"
    if code in _LOST:
        return f"the bytes of the image are lost or damaged in {place}; upload the image again"
    if store_id is not None:
        return f"the image could not be stored in {place}; import it again later"
    if code == "deadline":
        return "the service could not decide the image in the time that it has for an import; import it again later"
    return "the service could not check or store the image; import it again later"


def _is_for_the_tenant(error: DouaneError) -> bool:
    if isinstance(error, Conflict | NotFound):
        return True  # it names states and ids
    if isinstance(error, CatalogError):
        return False
    return isinstance(error, SourceError | LimitExceeded) and error.code in TENANTS_CODES
