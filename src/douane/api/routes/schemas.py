"""``GET /v2/schemas/…`` (no. 3 to 5)."""

from __future__ import annotations

from falcon.asgi import Request, Response

from douane.api.documents import schemas
from douane.api.documents.metadef_schemas import metadef_schemas
from douane.api.errors import not_found
from douane.api.service import Service

from .base import Resource, answer


class Schemas(Resource):
    """The schemas of images, members and tasks."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        rules = service.rules
        self._schemas = {
            "image": schemas.image_schema(rules),
            "images": schemas.images_schema(rules),
            "member": schemas.member_schema(),
            "members": schemas.members_schema(),
            "task": schemas.task_schema(),
            "tasks": schemas.tasks_schema(),
        }

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        """Answer the schema `name`. Raises HttpError 404."""
        if name not in self._schemas:
            raise not_found("There is no such schema.")
        answer(resp, self._schemas[name])


class MetadefSchemas(Resource):
    """The schemas of metadata definitions."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._schemas = metadef_schemas()

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        """Answer the schema `name`. Raises HttpError 404."""
        if name not in self._schemas:
            raise not_found("There is no such schema.")
        answer(resp, self._schemas[name])
