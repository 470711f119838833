"""What happens with every request: its id, its sender, and the checks that all paths share."""

from __future__ import annotations

import logging
import time
from typing import Any

from falcon.asgi import Request, Response

from douane.imports import tracing

from .errors import HttpError, bad_request
from .front import BODY, REFUSAL
from .metrics import Metrics
from .request_ids import HEADER, make_request_id, read_global_id
from .routes.base import Resource
from .service import Service
from .transfer.request_body import RequestBody

log = logging.getLogger("douane.api")

_API = "/v2/"
PROTECTION = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Of every answer that says nothing else. The bytes of an image come from the origin of the pages, and are no script
and no page, whatever they look like; and no cache on the way may give one client's answer to another: it does not know
that X-Auth-Token is a key."""
TRACEPARENT = 64
"""Characters; a traceparent has 55."""


class RequestContext:
    """Give each request its id, each answer the header with it, and the log a line. The outermost part: errors have
    ids, too."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def process_request(self, req: Request, resp: Response) -> None:
        """Make the id; refuse what was wrong before the framework saw the request."""
        req.context.began = time.monotonic()
        req.context.error = None
        req.context.step = tracing.begin(req.method, _one_header(req, "traceparent"), is_server=True)
        req.context.global_id = None
        req.context.request_id = make_request_id()
        req.context.body = req.scope[BODY]
        req.context.identity = None
        req.context.global_id = read_global_id(req.get_header(HEADER))
        if (refusal := req.scope.get(REFUSAL)) is not None:
            raise refusal

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:
        """Show the id, and log the answer. An empty answer has no type."""
        resp.set_header(HEADER, req.context.request_id)
        for name, value in PROTECTION.items():
            if resp.get_header(name) is None:
                resp.set_header(name, value)
        if resp.data is None and resp.stream is None and resp.text is None:
            resp.content_type = None
        seconds = time.monotonic() - req.context.began
        self._metrics.observe_request(req.method, req.uri_template, resp.status_code, seconds)
        _log_answer(req, resp.status_code, seconds)
        _end_step(req, resp.status_code)


def _one_header(req: Request, name: str) -> str | None:
    """The header as a trace context may have it (W3C, 3.2): short, and in ASCII."""
    value = req.get_header(name)
    return value if value is not None and len(value) <= TRACEPARENT and value.isascii() else None


def _end_step(req: Request, status: int) -> None:
    """End the request's step of its trace. The names are those of the OpenTelemetry conventions for HTTP servers."""
    step: tracing.Span = req.context.step
    step.set(
        http__request__method=req.method,
        http__route=req.uri_template,
        http__response__status_code=status,
        url__path=req.path,
        douane__request_id=req.context.request_id,
    )
    if status >= 500:
        step.fail(f"status {status}")
    step.end()


def _log_answer(req: Request, status: int, seconds: float) -> None:
    """A line with what a client may know as `tenant`, and with what only the operator may know as `operator`."""
    facts: dict[str, Any] = {"request_id": req.context.request_id, "status": status, "seconds": round(seconds, 4)}
    if req.context.global_id is not None:
        facts["global_request_id"] = req.context.global_id
    if (identity := req.context.identity) is not None:
        facts |= {"project": identity.project_id, "user": identity.user_id}
    error: HttpError | None = req.context.error
    if error is not None:
        facts |= {"code": error.code, "tenant": error.message, "operator": error.detail}
    facts = {name: fact for name, fact in facts.items() if fact is not None}
    level = logging.ERROR if status >= 500 and status != 503 else logging.WARNING if status >= 500 else logging.INFO
    log.log(level, "%s %s", req.method, req.path, extra=facts)


class Sender:
    """Find out who sends a request to the API; lists of versions and the like are for everybody."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def process_request(self, req: Request, resp: Response) -> None:
        """Set `req.context.identity`. Raises HttpError 401, 403 or 503."""
        if req.path.startswith(_API) and req.path != _API:
            req.context.identity = await self._service.identify(req.headers_lower, req.method, req.path)

    async def process_resource(self, req: Request, resp: Response, resource: Any, params: dict[str, Any]) -> None:
        """Refuse a body where none belongs: another program on the way might take it for the next request."""
        body: RequestBody = req.context.body
        is_known = hasattr(resource, f"on_{req.method.lower()}")  # other methods are 405, with a body and without
        if is_known and isinstance(resource, Resource) and req.method not in resource.bodies and body.exists:
            raise bad_request(f"A {req.method} of this path has no body.")
