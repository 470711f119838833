"""``PUT /v2/images/{id}/stage`` (no. 19), and what it shares with ``PUT …/file`` (no. 17); open uploads of both."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from falcon.asgi import Request, Response

from douane.api.errors import not_found
from douane.api.service import Service
from douane.api.transfer import open_uploads
from douane.api.transfer.appending import creation_limits
from douane.api.transfer.receiving import Sender, receive_upload
from douane.api.transfer.resumable import (
    INTEROP_VERSION,
    begins_open_upload,
    limit_header,
    read_part_headers,
    require_append,
    require_version,
    whole_length,
)
from douane.api.transfer.upload import read_upload
from douane.api.transfer.upload_answers import UploadMethod

from .base import Resource, answer_empty, identity_of, trace_of


async def receive(service: Service, req: Request, resp: Response, image_id: str, method: UploadMethod) -> None:
    """Receive the body of a request as the bytes of an image, or as their first part. Nothing of it is read before the
    headers are judged."""
    part = read_part_headers(req.headers_lower)
    is_open = begins_open_upload(part)
    upload = read_upload(
        content_type=req.content_type,
        content_encoding=req.get_header("Content-Encoding"),
        content_length=None if is_open else req.get_header("Content-Length"),
        image_size=req.get_header("X-OpenStack-Image-Size"),
        store=req.get_header("X-Image-Meta-Store"),
        limit=service.options.max_image_size,
    )
    sender = sender_of(req)
    body = req.context.body
    if part.is_last is not None:
        upload = msgspec.structs.replace(upload, announced=whole_length(part, 0, upload.announced))
    if is_open:
        state = await open_uploads.create(service, sender, image_id, method, upload, part, body)
        answer_empty(resp, 201, {"Location": state.path, **state.headers()})
        return
    await receive_upload(service, sender, image_id, method, upload, body)
    answer_empty(resp, headers={"Upload-Complete": "?1"} if part.is_last else None)


def sender_of(req: Request) -> Sender:
    """Who uploads, and by which request."""
    return Sender(identity_of(req), req.context.request_id, trace_of(req))


def answer_limits(service: Service, resp: Response, methods: str) -> None:
    """Answer OPTIONS of a resource that takes open uploads."""
    limits = limit_header(creation_limits(service))
    version = {"Upload-Draft-Interop-Version": str(INTEROP_VERSION)}
    answer_empty(resp, headers={"Allow": methods, "Upload-Limit": limits, **version})


class Stage(Resource):
    """The bytes of an image before their import is requested."""

    bodies: ClassVar = frozenset({"PUT"})

    async def on_put(self, req: Request, resp: Response, image_id: str) -> None:
        """Receive and inspect them, or begin an open upload. 404 if the method glance-direct is off."""
        if "glance-direct" not in self.service.options.methods:
            raise not_found("The import method 'glance-direct' is not enabled, so nothing can be staged.")
        await receive(self.service, req, resp, image_id, "glance-direct")

    async def on_options(self, req: Request, resp: Response, image_id: str) -> None:
        """Say which limits open uploads have."""
        answer_limits(self.service, resp, "OPTIONS, PUT")


class OpenUpload(Resource):
    """An upload whose bytes come in several requests (draft-ietf-httpbis-resumable-upload)."""

    bodies: ClassVar = frozenset({"PATCH"})

    async def on_head(self, req: Request, resp: Response, image_id: str, upload_id: str) -> None:
        """Say how many bytes are kept."""
        require_version(read_part_headers(req.headers_lower))
        state = await open_uploads.look(self.service, identity_of(req), image_id, upload_id)
        answer_empty(resp, headers=state.headers())

    async def on_get(self, req: Request, resp: Response, image_id: str, upload_id: str) -> None:
        """Say how many bytes are kept."""
        await self.on_head(req, resp, image_id, upload_id)

    async def on_patch(self, req: Request, resp: Response, image_id: str, upload_id: str) -> None:
        """Append a part; with the last one the answer waits for the verdict."""
        part = read_part_headers(req.headers_lower)
        require_append(part, req.content_type, req.get_header("Content-Encoding"))
        sender = sender_of(req)
        state = await open_uploads.append(self.service, sender, image_id, upload_id, part, req.context.body)
        answer_empty(resp, headers=state.headers())

    async def on_delete(self, req: Request, resp: Response, image_id: str, upload_id: str) -> None:
        """End the upload, and delete its bytes."""
        require_version(read_part_headers(req.headers_lower))
        await open_uploads.cancel(self.service, identity_of(req), image_id, upload_id)
        answer_empty(resp)

    async def on_options(self, req: Request, resp: Response, image_id: str, upload_id: str) -> None:
        """Say which limits open uploads have."""
        answer_limits(self.service, resp, "DELETE, GET, HEAD, OPTIONS, PATCH")
