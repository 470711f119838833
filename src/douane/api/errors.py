"""Answers that are errors: status code, headers and body, and the status code of each of Douane's own errors."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec

from douane import errors
from douane.catalog.values import sentence

MESSAGE_LIMIT = 4096
"""Characters of a message in an answer."""
RETRY_AFTER = 5
"""Seconds after which a client should repeat a request that came at a bad time."""

_UNAVAILABLE = "The image service cannot do this at the moment. Nothing was changed; repeat the request later."
_BROKEN = "The image service failed to answer this request. The operator finds the reason under the request id."


class HttpError(Exception):
    """A request ends with this status code and this sentence, which the client may read.

    `code` is a code of docs/exit-codes.md, sent in the header ``X-Douane-Code``. `detail` is for the operator's log.
    `problem` makes the answer a problem document (RFC 9457) with these members.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
        detail: str | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = sentence(message, MESSAGE_LIMIT)
        self.headers = {**(headers or {}), **({"X-Douane-Code": code} if code else {})}
        self.code = code
        self.detail = detail
        self.problem = problem

    @property
    def media_type(self) -> str:
        """The type of the body."""
        return "application/json" if self.problem is None else "application/problem+json"


def quoted(value: object, limit: int = 60) -> str:
    """`value` as a client wrote it, for a sentence: bounded, in quotes, and without control characters."""
    text = value if isinstance(value, str) else repr(value)
    cut = text[:limit] + ("…" if len(text) > limit else "")
    return "'" + "".join(letter if letter.isprintable() else "\ufffd" for letter in cut) + "'"


def bad_request(message: str) -> HttpError:
    """400: the request is malformed."""
    return HttpError(400, message)


def forbidden(message: str) -> HttpError:
    """403: the client sees the object, and may not do this to it."""
    return HttpError(403, message)


def not_found(message: str) -> HttpError:
    """404: there is no such object, or the client may not see it."""
    return HttpError(404, message)


def conflict(message: str) -> HttpError:
    """409: the object is not in a state that allows this."""
    return HttpError(409, message)


def over_quota(message: str) -> HttpError:
    """413: the request is larger, or asks for more, than is allowed."""
    return HttpError(413, message)


def method_not_allowed(allowed: str) -> HttpError:
    """405, with the methods that the path knows."""
    return HttpError(405, f"This path does not know the method; it knows {allowed}.", headers={"Allow": allowed})


def unauthenticated(keystone_url: str) -> HttpError:
    """401, with the place where a token can be had."""
    message = "This request needs a valid token in the header X-Auth-Token."
    return HttpError(401, message, headers={"WWW-Authenticate": f'Keystone uri="{keystone_url}"'})


def error_body(error: HttpError) -> bytes:
    """The JSON body.

    glanceclient 4.13 calls ``.get("message")`` on every value of the object, so each value must be an object.
    """
    try:
        title = HTTPStatus(error.status).phrase
    except ValueError:
        title = "Error"
    document = {"error": {"code": error.status, "title": title, "message": error.message}}
    return msgspec.json.encode({**(error.problem or {}), **document})


STATUS_OF_CODE: dict[str, int] = {
    "bad-value": 400,
    "reserved": 403,
    "not-found": 404,
    "no-inventory": 404,
    "wrong-state": 409,
    "lost-task": 409,
    "exists": 409,
    "ambiguous": 409,
    "in-use": 409,
    "image-in-use": 409,
    "property-exists": 409,
    "property-missing": 409,
    "protected": 403,
    "not-shared": 403,
    "last-copy": 403,
    "over-quota": 413,
    "bad-name": 400,
    "truncated": 400,
    "longer-than-announced": 400,
    "unreadable": 400,
    "not-allowed": 400,
    "not-downloaded": 400,
    "wrong-digest": 400,
    "too-slow": 408,
    "image-deleted": 410,
    "transform-limit": 413,
}
"""Errors that a client caused, or can do something about. Their sentence is shown."""

UNAVAILABLE_CODES: frozenset[str] = frozenset({
    "agent-protocol", "agent-unavailable", "busy", "catalog-busy", "catalog-full", "catalog-io", "catalog-unwritable",
    "changed-while-read", "deadline", "grant-unavailable", "not-finished", "sandbox-failed", "store-another",
    "store-away", "store-busy", "store-failed", "store-full", "store-io", "store-unreadable", "store-unwritable",
    "target-closed", "target-full", "target-io", "target-unwritable", "temporary-full", "temporary-unusable",
})  # fmt: skip
"""503: the service, its stores or its database; the sentence may name folders, so only the operator's log has it."""

BROKEN_CODES: frozenset[str] = frozenset({
    "bill-not-kept", "catalog-damaged", "catalog-foreign", "catalog-newer", "client-gone", "damaged", "error",
    "not-authorized", "not-printed", "not-run", "not-shown", "not-signed", "output-closed", "output-failed",
    "request-refused", "service-away", "summary-invalid", "summary-result", "summary-subject",
    "summary-untrusted", "summary-verifier", "sums-differ", "upload-failed", "wrong-configuration",
})  # fmt: skip
"""500: repeating the request would not help."""


def http_error(error: errors.DouaneError) -> HttpError:
    """The answer to a request that ended with one of Douane's own errors."""
    if isinstance(error, errors.Conflict) and error.actual == "deleted":
        return not_found(f"{error}.")
    if error.code in STATUS_OF_CODE and not _is_server_side(error):
        return HttpError(STATUS_OF_CODE[error.code], str(error), code=error.code)
    if error.code in BROKEN_CODES:
        return HttpError(500, _BROKEN, detail=str(error))
    seconds = error.retry_after if isinstance(error, errors.AgentError) else None
    headers = {"Retry-After": str(max(1, ceil(seconds or RETRY_AFTER)))}
    return HttpError(503, _UNAVAILABLE, headers=headers, detail=str(error))


def _is_server_side(error: errors.DouaneError) -> bool:
    """True for codes that mean something else in these classes: the agent is slow, a store's object is missing."""
    if isinstance(error, errors.AgentError):
        return True
    return isinstance(error, errors.StoreError) and error.code != "in-use"
