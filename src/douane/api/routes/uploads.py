"""``PUT /v2/images/{id}/stage`` (no. 19), and what it shares with ``PUT …/file`` (no. 17)."""

from __future__ import annotations

from typing import ClassVar

from falcon.asgi import Request, Response

from douane.api.errors import not_found
from douane.api.service import Service
from douane.api.transfer.receiving import Sender, receive_upload
from douane.api.transfer.upload import read_upload
from douane.api.transfer.upload_answers import UploadMethod

from .base import Resource, answer_empty, identity_of, trace_of


async def receive(service: Service, req: Request, image_id: str, method: UploadMethod) -> None:
    """Receive the body of a request as the bytes of an image. Nothing of it is read before the headers are judged."""
    upload = read_upload(
        content_type=req.content_type,
        content_encoding=req.get_header("Content-Encoding"),
        content_length=req.get_header("Content-Length"),
        image_size=req.get_header("X-OpenStack-Image-Size"),
        store=req.get_header("X-Image-Meta-Store"),
        limit=service.options.max_image_size,
    )
    sender = Sender(identity_of(req), req.context.request_id, trace_of(req))
    await receive_upload(service, sender, image_id, method, upload, req.context.body)


class Stage(Resource):
    """The bytes of an image before their import is requested."""

    bodies: ClassVar = frozenset({"PUT"})

    async def on_put(self, req: Request, resp: Response, image_id: str) -> None:
        """Receive and inspect them. 404 if the method glance-direct is off."""
        if "glance-direct" not in self.service.options.methods:
            raise not_found("The import method 'glance-direct' is not enabled, so nothing can be staged.")
        await receive(self.service, req, image_id, "glance-direct")
        answer_empty(resp)
