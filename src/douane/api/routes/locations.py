"""``/v2/images/{id}/locations`` (no. 28 and 29): for services with the role `service` only."""

from __future__ import annotations

from typing import ClassVar

from falcon.asgi import Request, Response

from douane.api.identity.rights import require_service
from douane.api.locating import list_locations, register_location
from douane.api.requests.location_request import read_location
from douane.api.transfer.receiving import Sender, require_imports

from .base import Resource, answer, answer_empty, identity_of, read_body, trace_of


class Locations(Resource):
    """Where the bytes of an image are."""

    bodies: ClassVar = frozenset({"POST"})

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """The URL in each store that has a URL of its own."""
        answer(resp, await self.service.pool.run(list_locations, self.service, identity_of(req), image_id))

    async def on_post(self, req: Request, resp: Response, image_id: str) -> None:
        """Take bytes that another service wrote into a store: a worker reads them through the plan; 202."""
        service = self.service
        identity = identity_of(req)
        require_service(identity)
        location = read_location(await read_body(req))
        require_imports(service)
        sender = Sender(identity, req.context.request_id, trace_of(req))
        task = await service.pool.run(register_location, service, sender, image_id, location)
        if task.step == "waiting" and service.uploads is not None:
            service.uploads.wake_workers()
        answer_empty(resp, 202)
