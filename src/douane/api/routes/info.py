"""``/v2/info/…``: import methods and stores (no. 23 to 25)."""

from __future__ import annotations

from falcon.asgi import Request, Response

from douane.api.rights import require_admin
from douane.api.service_documents import import_info_document, stores_document

from .base import Resource, answer, identity_of


class ImportInfo(Resource):
    """The import methods."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer those that are enabled."""
        answer(resp, import_info_document(self.service.options.methods))


class Stores(Resource):
    """The stores, as every project sees them."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer them, also a single store."""
        answer(resp, stores_document(self.service.stores.infos))


class StoresDetail(Resource):
    """The stores, as an administrator sees them."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer them with type, weight and properties. 403 for others."""
        require_admin(identity_of(req), "see the details of stores")
        answer(resp, stores_document(self.service.stores.infos, detail=True))
