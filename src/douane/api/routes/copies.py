"""``DELETE /v2/stores/{store}/{id}``: remove a copy of an image from a store (no. 27)."""

from __future__ import annotations

from falcon.asgi import Request, Response

from douane.api.errors import conflict, quoted
from douane.api.identity.rights import Identity, require_admin

from .base import Resource, answer_empty, identity_of
from .removal import require_no_clones


class Copy(Resource):
    """The copy of an image in a store."""

    async def on_delete(self, req: Request, resp: Response, store_id: str, image_id: str) -> None:
        """Remove it, unless it is the last copy."""
        identity = identity_of(req)
        require_admin(identity, "remove an image from a store")
        await self.service.pool.run(self._remove, identity, store_id, image_id)
        answer_empty(resp)

    def _remove(self, identity: Identity, store_id: str, image_id: str) -> None:
        image, _ = self.service.visible(identity, image_id)
        stores = self.service.stores
        if store_id not in stores:
            raise conflict(f"There is no store {quoted(store_id)}; the stores are {', '.join(stores.ids)}.")
        if image.status != "active":
            raise conflict(f"The image is {image.status}; copies of an active image can be removed.")
        require_no_clones(self.service, image, [store_id])
        self.service.catalog.remove_store(image.id, store_id)
        stores.by_id(store_id).store.delete(image.id)
