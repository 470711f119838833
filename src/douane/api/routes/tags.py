"""``/v2/images/{id}/tags/{tag}`` (no. 12)."""

from __future__ import annotations

from falcon.asgi import Request, Response

from douane.api.identity.rights import Identity, require_change
from douane.api.requests.image_fields import check_tag

from .base import Resource, answer_empty, identity_of


class Tag(Resource):
    """One tag of an image."""

    async def on_put(self, req: Request, resp: Response, image_id: str, tag: str) -> None:
        """Add the tag; no error if the image has it."""
        await self.service.pool.run(self._add, identity_of(req), image_id, check_tag(tag))
        answer_empty(resp)

    async def on_delete(self, req: Request, resp: Response, image_id: str, tag: str) -> None:
        """Remove the tag. 404 if the image does not have it."""
        await self.service.pool.run(self._remove, identity_of(req), image_id, check_tag(tag))
        answer_empty(resp)

    def _add(self, identity: Identity, image_id: str, tag: str) -> None:
        image, access = self.service.visible(identity, image_id)
        require_change(identity, access)
        self.service.catalog.add_tag(image.id, tag, self.service.rules.quotas)

    def _remove(self, identity: Identity, image_id: str, tag: str) -> None:
        image, access = self.service.visible(identity, image_id)
        require_change(identity, access)
        self.service.catalog.remove_tag(image.id, tag)
