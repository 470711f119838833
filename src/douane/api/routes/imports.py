"""``POST /v2/images/{id}/import`` (no. 20), and the action that cancels an import, which only this service has."""

from __future__ import annotations

from typing import ClassVar

from falcon.asgi import Request, Response

from douane.api.importing import begin_import, cancel_import, check_import
from douane.api.requests.import_request import read_import
from douane.api.transfer.receiving import Sender, require_imports
from douane.imports.web.download import probe

from .base import Resource, answer_empty, identity_of, read_body, trace_of


class Import(Resource):
    """The import of an image."""

    bodies: ClassVar = frozenset({"POST"})

    async def on_post(self, req: Request, resp: Response, image_id: str) -> None:
        """Begin it; 202. A URL is tried before that: a client that waits for a queued image would wait in vain."""
        service = self.service
        identity = identity_of(req)
        header = req.get_header("X-Image-Meta-Store")
        credentials = service.settings is not None and service.settings.web_download.credentials
        methods = service.options.methods
        order = read_import(await read_body(req), methods, store_header=header, credentials=credentials)
        image, stores = await service.pool.run(check_import, service, identity, image_id, order)
        require_imports(service)
        size = None
        if order.uri is not None and service.settings is not None:
            size = (await service.io.run(probe, order.uri, service.settings)).size
        sender = Sender(identity, req.context.request_id, trace_of(req))
        task = await service.pool.run(begin_import, service, sender, image, stores, order, size)
        if task.step == "waiting" and service.uploads is not None:
            service.uploads.wake_workers()
        answer_empty(resp, 202)


class CancelImport(Resource):
    """``POST /v2/images/{id}/actions/cancel_import``: an extension."""

    async def on_post(self, req: Request, resp: Response, image_id: str) -> None:
        """Cancel what runs for the image: an upload, an import or a copy. 409 if nothing does."""
        await self.service.pool.run(cancel_import, self.service, identity_of(req), image_id)
        answer_empty(resp)
