"""``GET /``, every unknown first segment, and ``GET /versions`` (no. 1 and 2)."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Request, Response

from douane.api.documents.base_url import base_url
from douane.api.documents.service_documents import versions_document
from douane.api.errors import not_found
from douane.api.service import ApiOptions, Service

from .base import Resource, answer


class Versions(Resource):
    """The list of versions; 200."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer it."""
        answer(resp, versions_document(_base(req, self.service.options)))


class VersionChoices(Resource):
    """The list of versions as choices; 300, which Tempest expects."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer it."""
        answer(resp, versions_document(_base(req, self.service.options)), 300)


class UnknownPath:
    """Paths that no route has: the list of versions, or 404 inside of the API."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, req: Request, resp: Response | None, **_: Any) -> None:
        """Answer 300 or 404."""
        is_known = req.path.startswith(("/v2/", "/ui/")) and req.path != "/v2/"
        if is_known or req.method != "GET":
            raise not_found("There is no such path.")
        assert resp is not None, "only a WebSocket has no answer"
        answer(resp, versions_document(_base(req, self._service.options)), 300)


def _base(req: Request, options: ApiOptions) -> str:
    trusted = options.trusts_proxy
    return base_url(
        options.public_endpoint,
        scheme=req.scheme,
        host=req.get_header("Host"),
        forwarded_proto=req.get_header("X-Forwarded-Proto") if trusted else None,
        forwarded_host=req.get_header("X-Forwarded-Host") if trusted else None,
    )
