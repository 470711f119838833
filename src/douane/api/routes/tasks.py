"""``/v2/images/{id}/tasks`` and ``/v2/tasks`` (no. 21 and 22)."""

from __future__ import annotations

from falcon.asgi import Request, Response

from douane.api.documents import Document, task_document, task_list_document
from douane.api.errors import not_found
from douane.api.identifiers import read_uuid
from douane.api.rights import Identity, require_admin
from douane.errors import NotFound

from .base import Resource, answer, identity_of


class ImageTasks(Resource):
    """The import tasks of an image."""

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """All tasks, the oldest first, for whoever sees the image."""
        answer(resp, await self.service.pool.run(self._list, identity_of(req), image_id))

    def _list(self, identity: Identity, image_id: str) -> Document:
        image, _ = self.service.visible(identity, image_id)
        tasks = self.service.catalog.tasks(image.id)
        return task_list_document(task_document(task, is_admin=identity.is_admin) for task in tasks)


class Task(Resource):
    """One task, for administrators."""

    async def on_get(self, req: Request, resp: Response, task_id: str) -> None:
        """Read the task with its whole report."""
        identity = identity_of(req)
        require_admin(identity, "read tasks")
        answer(resp, await self.service.pool.run(self._read, task_id))

    def _read(self, task_id: str) -> Document:
        key = read_uuid(task_id)
        try:
            task = self.service.catalog.task(key or "")
        except NotFound:
            raise not_found("There is no such task.") from None
        return task_document(task, is_admin=True)
