"""``GET /metrics`` (no. 31): for Prometheus, without a token."""

from __future__ import annotations

from falcon.asgi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from .base import Resource


class MetricsPage(Resource):
    """The metrics of this door, and of the imports that ended since it started."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer them in the text format of Prometheus."""
        resp.data = await self.service.pool.run(self.service.metrics.text)
        resp.content_type = CONTENT_TYPE_LATEST
