"""Turn an error of obstore into a StoreError that says what to do.

The text of such an error has the whole answer of the server, in which some name the access key and what was signed. A
sentence here has the status and the server's code only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError

from douane.errors import StoreError

_STATUS = re.compile(r"status code: ([0-9]{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_KIND = re.compile(r"kind: ([A-Za-z]{1,32}),")

_FULL_CODES = frozenset({"QuotaExceeded", "XMinioStorageFull", "StorageFull", "InsufficientCapacity", "TooManyBuckets"})
_FULL_STATUS = 507
_BUSY_CODES = frozenset({"SlowDown", "TooManyRequests", "ServiceUnavailable", "RequestLimitExceeded"})
_MISSING_BUCKET = "NoSuchBucket"
_WRONG_CREDENTIALS = {
    "InvalidAccessKeyId": "the server does not know the access key",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the session token is wrong",
    "AccessDenied": "the credentials do not have this right in the bucket",
}


@contextmanager
def explained(doing: str, place: str, path: str) -> Iterator[None]:
    """Turn every error of obstore into a StoreError. `doing` completes "cannot ..."; `place` is the store's URL."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise explain(error, doing, place, path) from None  # the cause would show the server's answer in a traceback


def explain(error: BaseException, doing: str, place: str, path: str) -> StoreError:
    """The StoreError for an error of obstore."""
    text = str(error)
    status_match, code_match = _STATUS.search(text), _CODE.search(text)
    status = int(status_match[1]) if status_match else None
    code = code_match[1] if code_match else ""
    failure = f"cannot {doing}: {place}"
    if isinstance(error, AlreadyExistsError):
        return StoreError(f"{failure} has {path} already, and nothing is ever replaced", code="exists")
    if code == _MISSING_BUCKET:
        return StoreError(f"{failure} has no such bucket: make it, or correct 'url' and 'endpoint'", code="store-away")
    if code in _FULL_CODES or status == _FULL_STATUS:
        return StoreError(
            f"{failure} is full or over its quota ({code or status}); delete images or raise the quota, then try again",
            code="store-full",
        )
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{failure} has no object {path}", code="not-found")
    if status in (401, 403):
        reason = _WRONG_CREDENTIALS.get(code, "the server refuses these credentials")
        return StoreError(
            f"{failure} answers {status} {code}: {reason}; look at the credentials, and at the rights of their owner",
            code="store-unreadable",
        )
    if status in (429, 503) or code in _BUSY_CODES:
        return StoreError(f"{failure} is overloaded ({code or status}); import fewer at once", code="store-away")
    if status is None or status >= 500:
        return StoreError(
            f"{failure} does not answer ({_connection(text, status)}); see that the server at 'endpoint' runs and can "
            "be reached, then try again",
            code="store-away",
        )
    return StoreError(f"{failure} answers {status} {code} about {path}")


def _connection(text: str, status: int | None) -> str:
    if status is not None:
        return str(status)
    kind = _KIND.search(text)
    words = {"Connect": "no connection", "Timeout": "no answer in time", "Request": "the connection broke off"}
    return words.get(kind[1], kind[1]) if kind else "no connection"
