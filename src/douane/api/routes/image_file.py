"""``/v2/images/{id}/file``: upload and download the bytes of an image (no. 17 and 18)."""

from __future__ import annotations

from typing import ClassVar

from falcon.asgi import Request, Response

from douane.api.errors import http_error, not_found
from douane.api.identity.rights import Identity, require_download
from douane.api.locating import foreign_location
from douane.api.transfer.download import Download, answer_download
from douane.api.transfer.downloading import ImageStream
from douane.errors import StoreError
from douane.stores import StoredBytes

from .base import Resource, answer_empty, identity_of
from .uploads import answer_limits, receive


class ImageFile(Resource):
    """The bytes of an image."""

    bodies: ClassVar = frozenset({"PUT"})

    async def on_put(self, req: Request, resp: Response, image_id: str) -> None:
        """Receive them, and answer when the image is active (no. 17), or begin an open upload."""
        await receive(self.service, req, resp, image_id, "upload")

    async def on_options(self, req: Request, resp: Response, image_id: str) -> None:
        """Say which limits open uploads have."""
        answer_limits(self.service, resp, "GET, OPTIONS, PUT")

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """All bytes or a range of them; 204 if there are none."""
        headers = (req.get_header("Range"), req.get_header("Content-Range"), req.get_header("If-Range"))
        prefer = tuple((req.get_param("prefer") or "").split(","))
        download, stored = await self.service.pool.run(self._open, identity_of(req), image_id, headers, prefer)
        answer_empty(resp, download.status, download.headers)
        if stored is not None:
            resp.stream = ImageStream(
                self.service.io, stored, download.start, download.stop, req.context.body, self.service.downloads
            )

    def _open(
        self,
        identity: Identity,
        image_id: str,
        headers: tuple[str | None, str | None, str | None],
        prefer: tuple[str, ...],
    ) -> tuple[Download, StoredBytes | None]:
        """The answer, and the bytes, which the caller closes."""
        image, access = self.service.visible(identity, image_id)
        require_download(identity, access)
        if foreign_location(image) is not None:
            raise not_found("The bytes of this image lie at a location that this service does not read.")
        download = answer_download(image, range_header=headers[0], content_range=headers[1], if_range=headers[2])
        if download.status == 204 or download.start == download.stop:
            return download, None
        return download, self._open_first(image.id, self._in_order(image.own_stores, prefer), download.stop)

    def _in_order(self, holding: list[str], prefer: tuple[str, ...]) -> list[str]:
        stores = [store for store in self.service.stores.ids if store in holding]
        return [*(store for store in prefer if store in stores), *(store for store in stores if store not in prefer)]

    def _open_first(self, image_id: str, stores: list[str], stop: int) -> StoredBytes:
        """The bytes in the first store that can give them. Raises HttpError 503 if none can."""
        error = StoreError(f"no store of this service holds the image {image_id}", code="not-found")
        for store in stores:
            try:
                stored = self.service.stores.by_id(store).store.open(image_id)
            except StoreError as failure:
                error = failure
                continue
            if stored.size >= stop:
                return stored
            stored.close()
            error = StoreError(f"the image {image_id} in the store {store} is too short", code="damaged")
        raise http_error(error)
