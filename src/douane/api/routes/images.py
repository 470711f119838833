"""``/v2/images`` and ``/v2/images/{id}``: create, list, read, change and delete images (no. 6 to 10)."""

from __future__ import annotations

from typing import ClassVar

from falcon.asgi import Request, Response

from douane.api.documents.records import Document, image_list_document
from douane.api.errors import HttpError, bad_request, quoted
from douane.api.identity.rights import Identity, require_change
from douane.api.requests.create import NewImage, created_headers, read_new_image
from douane.api.requests.filters import ImageList, read_image_list
from douane.api.requests.patch import read_changes, require_rights
from douane.catalog.query import Change

from .base import Resource, answer, answer_empty, identity_of, read_body
from .removal import delete_bytes, require_no_clones, staged_keys

STORE_HEADER = "X-Image-Meta-Store"


class Images(Resource):
    """All images."""

    bodies: ClassVar = frozenset({"POST"})

    async def on_get(self, req: Request, resp: Response) -> None:
        """A page of images (no. 7)."""
        identity = identity_of(req)
        request = read_image_list(req.query_string, identity)
        answer(resp, await self.service.pool.run(self._page, request))

    async def on_post(self, req: Request, resp: Response) -> None:
        """Create an image (no. 6)."""
        identity = identity_of(req)
        service = self.service
        body = await read_body(req)
        new = read_new_image(body, identity, service.rules, store=req.get_header(STORE_HEADER))
        if new.store is not None and new.store not in service.stores:
            raise bad_request(f"There is no store {quoted(new.store)}; the stores are {', '.join(service.stores.ids)}.")
        document = await service.pool.run(self._create, new)
        headers = created_headers(document["id"], service.options.methods, service.stores.ids)
        answer(resp, document, 201, headers)

    def _page(self, request: ImageList) -> Document:
        images = self.service.catalog.find_images(request.query)
        documents = self.service.documents(images)
        return image_list_document(documents, request.first(), request.next([image.id for image in images]))

    def _create(self, new: NewImage) -> Document:
        image = self.service.catalog.create_image(
            image_id=new.id,
            name=new.name,
            owner=new.owner,
            visibility=new.visibility,
            protected=new.protected,
            hidden=new.os_hidden,
            min_disk=new.min_disk,
            min_ram=new.min_ram,
            wanted_store=new.store,
            disk_format=new.disk_format,
            container_format=new.container_format,
            tags=new.tags,
            properties=new.properties,
            quota=self.service.options.image_count,
        )
        return self.service.document(image)


class Image(Resource):
    """One image."""

    bodies: ClassVar = frozenset({"PATCH"})

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """Read it (no. 8)."""
        answer(resp, await self.service.pool.run(self._read, identity_of(req), image_id))

    async def on_patch(self, req: Request, resp: Response, image_id: str) -> None:
        """Change it (no. 9): all operations or none."""
        identity = identity_of(req)
        body = await read_body(req)
        changes = read_changes(req.content_type, body, self.service.rules)
        answer(resp, await self.service.pool.run(self._change, identity, image_id, changes))

    async def on_delete(self, req: Request, resp: Response, image_id: str) -> None:
        """Delete it (no. 10), also while it is imported."""
        await self.service.pool.run(self._delete, identity_of(req), image_id)
        answer_empty(resp)

    def _read(self, identity: Identity, image_id: str) -> Document:
        image, _ = self.service.visible(identity, image_id)
        return self.service.document(image)

    def _change(self, identity: Identity, image_id: str, changes: list[Change]) -> Document:
        image, access = self.service.visible(identity, image_id)
        require_change(identity, access)
        require_rights(changes, image, identity)
        if changes:
            image = self.service.catalog.edit(image.id, changes, self.service.rules.quotas)
        return self.service.document(image)

    def _delete(self, identity: Identity, image_id: str) -> None:
        image, access = self.service.visible(identity, image_id)
        require_change(identity, access, "delete")
        if not image.protected:  # else the catalog refuses it
            require_no_clones(self.service, image, image.stores)
        keys = staged_keys(self.service, image)
        delete_bytes(self.service, self.service.catalog.delete(image.id), keys)


class Deactivate(Resource):
    """``POST /v2/images/{id}/actions/deactivate`` (no. 11)."""

    async def on_post(self, req: Request, resp: Response, image_id: str) -> None:
        """Prevent downloads. Repeating it is no error."""
        await self.service.pool.run(self._switch, identity_of(req), image_id)
        answer_empty(resp)

    def _switch(self, identity: Identity, image_id: str) -> None:
        image, access = self.service.visible(identity, image_id)
        require_change(identity, access, "deactivate")
        if image.status == "active":
            self.service.catalog.deactivate(image.id)
        elif image.status != "deactivated":
            raise _not_possible(image.status, "deactivated")


class Reactivate(Resource):
    """``POST /v2/images/{id}/actions/reactivate`` (no. 11)."""

    async def on_post(self, req: Request, resp: Response, image_id: str) -> None:
        """Allow downloads again. Repeating it is no error."""
        await self.service.pool.run(self._switch, identity_of(req), image_id)
        answer_empty(resp)

    def _switch(self, identity: Identity, image_id: str) -> None:
        image, access = self.service.visible(identity, image_id)
        require_change(identity, access, "reactivate")
        if image.status == "deactivated":
            self.service.catalog.reactivate(image.id)
        elif image.status != "active":
            raise _not_possible(image.status, "reactivated")


def _not_possible(status: str, participle: str) -> HttpError:
    return bad_request(f"The image is {status}; only an image with data can be {participle}.")
