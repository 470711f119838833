"""``GET /openapi.json``: the description of the API for programs, without a token."""

from __future__ import annotations

from falcon.asgi import Request, Response

from .base import Resource, answer


class OpenApi(Resource):
    """The OpenAPI document, which is made when the application is."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer it."""
        answer(resp, self.service.openapi)
