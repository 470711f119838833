"""What every resource of the API has: the service, and the answers that all of them give.

A responder reads the request, runs one function in a thread (`self.service.pool.run`), and answers with a document or
with nothing. Errors are raised: see :mod:`douane.api.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import msgspec
from falcon.asgi import Request, Response

from douane.api.errors import HttpError, quoted
from douane.api.identity.rights import Identity
from douane.api.requests.bounds import BODY_BYTES
from douane.api.service import Service
from douane.api.transfer.request_body import RequestBody
from douane.imports.tracing import Span


class Resource:
    """A resource of the API."""

    bodies: ClassVar[frozenset[str]] = frozenset()
    """The methods that have a body."""

    def __init__(self, service: Service) -> None:
        self.service = service


class Route(NamedTuple):
    """A row of the table of routes."""

    path: str
    resource: type[Resource]
    summary: str


def identity_of(req: Request) -> Identity:
    """Who sent the request."""
    identity = req.context.identity
    assert isinstance(identity, Identity), "paths of the API are reached with an identity only"
    return identity


def trace_of(req: Request) -> str | None:
    """The step of the trace that the request is, for those that follow."""
    step: Span = req.context.step
    return step.traceparent


async def read_body(req: Request) -> bytes:
    """The whole body of a call that takes a document. Raises HttpError 415, 413, 408 or 400."""
    encoding = req.get_header("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise HttpError(415, f"The encoding {quoted(encoding)} is not known; send the document as it is.")
    body: RequestBody = req.context.body
    return await body.read_all(BODY_BYTES)


def answer(resp: Response, document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
    """Answer with a JSON document."""
    resp.status = status
    resp.content_type = "application/json"
    resp.data = msgspec.json.encode(document)
    for name, value in (headers or {}).items():
        resp.set_header(name, value)


def answer_empty(resp: Response, status: int = 204, headers: Mapping[str, str] | None = None) -> None:
    """Answer without a body."""
    resp.status = status
    for name, value in (headers or {}).items():
        resp.set_header(name, value)
