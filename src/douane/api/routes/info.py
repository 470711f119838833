"""``/v2/info/…``: import methods and stores and what a project uses (no. 23 to 26)."""

from __future__ import annotations

from falcon.asgi import Request, Response

from douane.api.documents.service_documents import Quantity, import_info_document, stores_document, usage_document
from douane.api.documents.service_documents import Usage as ProjectUsage
from douane.api.documents.store_infos import store_infos
from douane.api.identity.rights import require_admin
from douane.catalog.query import UploadQuotas

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
        answer(resp, stores_document(store_infos(self.service.stores)))


class StoresDetail(Resource):
    """The stores, as an administrator sees them."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer them with type, weight and properties. 403 for others."""
        require_admin(identity_of(req), "see the details of stores")
        answer(resp, stores_document(store_infos(self.service.stores), detail=True))


class Usage(Resource):
    """What the project of the token uses."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer quotas and usage; sizes in MiB."""
        usage = await self.service.pool.run(self.service.catalog.usage, identity_of(req).project_id)
        options = self.service.options
        quotas = options.upload_quotas or UploadQuotas()
        amounts = ProjectUsage(
            size=Quantity(usage.size_total, quotas.size_total),
            count=Quantity(usage.count, options.image_count),
            staged=Quantity(usage.staged_total, quotas.staged_total),
            uploading=Quantity(usage.uploading, quotas.uploading),
        )
        answer(resp, usage_document(amounts))
