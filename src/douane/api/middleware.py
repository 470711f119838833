"""What happens with every request: its id, its sender, and the checks that all paths share."""

from __future__ import annotations

import logging
from typing import Any

from falcon.asgi import Request, Response

from .errors import bad_request
from .front import BODY, REFUSAL
from .request_body import RequestBody
from .request_ids import HEADER, make_request_id, read_global_id
from .routes.base import Resource
from .service import Service

log = logging.getLogger("douane.api")

_API = "/v2/"


class RequestContext:
    """Give each request its id, and each answer the header with it. The outermost part: errors have ids, too."""

    async def process_request(self, req: Request, resp: Response) -> None:
        """Make the id; refuse what was found wrong before the framework saw the request."""
        req.context.request_id = make_request_id()
        req.context.body = req.scope[BODY]
        req.context.identity = None
        req.context.global_id = read_global_id(req.get_header(HEADER))
        if (refusal := req.scope.get(REFUSAL)) is not None:
            raise refusal

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:
        """Show the id. An empty answer has no type."""
        resp.set_header(HEADER, req.context.request_id)
        if resp.data is None and resp.stream is None and resp.text is None:
            resp.content_type = None


class Sender:
    """Find out who sends a request to the API; lists of versions and the like are for everybody."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def process_request(self, req: Request, resp: Response) -> None:
        """Set `req.context.identity`. Raises HttpError 401, 403 or 503."""
        if req.path.startswith(_API) and req.path != _API:
            identify = self._service.authenticator.identify
            req.context.identity = await self._service.pool.run(identify, req.headers_lower, req.method, req.path)

    async def process_resource(self, req: Request, resp: Response, resource: Any, params: dict[str, Any]) -> None:
        """Refuse a body where none belongs: another program on the way might take it for the next request."""
        body: RequestBody = req.context.body
        if isinstance(resource, Resource) and req.method not in resource.bodies and body.exists:
            raise bad_request(f"A {req.method} of this path has no body.")
