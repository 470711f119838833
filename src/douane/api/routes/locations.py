"""``/v2/images/{id}/locations`` (no. 28 and 29): for services with the role `service` only."""

from __future__ import annotations

from typing import ClassVar

from falcon.asgi import Request, Response

from douane.api.documents import Document, location_list_document
from douane.api.errors import conflict, forbidden
from douane.api.location_request import read_location
from douane.api.rights import Identity, require_service

from .base import Resource, answer, identity_of, read_body


class Locations(Resource):
    """Where the bytes of an image are."""

    bodies: ClassVar = frozenset({"POST"})

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """The URL in each store that has a URL of its own."""
        identity = identity_of(req)
        require_service(identity)
        answer(resp, await self.service.pool.run(self._list, identity, image_id))

    async def on_post(self, req: Request, resp: Response, image_id: str) -> None:
        """Refuse bytes that no plugin has read: no store of this release can read what another service wrote."""
        identity = identity_of(req)
        require_service(identity)
        read_location(await read_body(req))
        await self.service.pool.run(self._require_queued, identity, image_id)
        raise forbidden(
            "This service takes no location: every image goes through its plugins. Upload the bytes instead "
            f"(PUT /v2/images/{image_id}/file)."
        )

    def _list(self, identity: Identity, image_id: str) -> list[Document]:
        image, _ = self.service.visible(identity, image_id)
        stores = self.service.stores
        urls = [(stores.by_id(store).store.location(image.id), store) for store in image.stores if store in stores]
        return location_list_document((url, store) for url, store in urls if url is not None)

    def _require_queued(self, identity: Identity, image_id: str) -> None:
        image, _ = self.service.visible(identity, image_id)
        if image.status != "queued":
            raise conflict(f"The image is {image.status}; only a queued image takes a location.")
