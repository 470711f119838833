"""``GET /healthcheck`` (no. 31): for load balancers, without a token."""

from __future__ import annotations

from falcon.asgi import Request, Response

from douane.errors import DouaneError

from .base import Resource, answer


class Healthcheck(Resource):
    """Whether this service answers requests."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """200, or 503 while it drains or cannot read the catalog."""
        if self.service.draining.is_set():
            answer(resp, {"status": "draining"}, 503)
            return
        try:
            await self.service.pool.run(self.service.catalog.unfinished_by_step)  # a small question
        except DouaneError:
            answer(resp, {"status": "the catalog cannot be read"}, 503)
            return
        answer(resp, {"status": "ok"})
