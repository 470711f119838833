"""``/v2/images/{id}/tasks`` and ``/v2/tasks`` (no. 21 and 22)."""

from __future__ import annotations

from falcon.asgi import Request, Response

from douane.api.documents.records import Document, task_document, task_list_document, task_page_document, task_stub
from douane.api.errors import not_found
from douane.api.identity.rights import Identity, is_owner, require_admin
from douane.api.requests.identifiers import read_uuid
from douane.api.task_list import ImageTasksRequest, TaskListRequest, read_image_tasks, read_task_list
from douane.errors import NotFound

from .base import Resource, answer, identity_of

WAITING = "waiting"
"""The step of a task that no worker has begun."""


class ImageTasks(Resource):
    """The import tasks of an image."""

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """A page of the last tasks, the oldest first, for whoever sees the image; the next page has those before."""
        request = read_image_tasks(req.query_string)
        answer(resp, await self.service.pool.run(self._list, identity_of(req), image_id, request))

    def _list(self, identity: Identity, image_id: str, request: ImageTasksRequest) -> Document:
        image, access = self.service.visible(identity, image_id)
        owns = is_owner(identity, access)
        tasks = self.service.catalog.tasks(image.id, limit=request.limit, marker=request.marker)
        documents = [
            task_document(task, is_admin=identity.is_admin, is_owner=owns, waits=task.step == WAITING) for task in tasks
        ]
        return task_list_document(documents, request.next(image.id, [task.id for task in tasks]))


class Tasks(Resource):
    """All tasks, for administrators."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """A page of them, without input, result and message."""
        require_admin(identity_of(req), "list tasks")
        request = read_task_list(req.query_string)
        answer(resp, await self.service.pool.run(self._page, request))

    def _page(self, request: TaskListRequest) -> Document:
        tasks = self.service.catalog.all_tasks(
            status=request.status,
            method=request.method,
            descending=request.descending,
            limit=request.limit,
            marker=request.marker,
        )
        stubs = [task_stub(task, waits=task.step == WAITING) for task in tasks]
        return task_page_document(stubs, request.first(), request.next([task.id for task in tasks]))


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
        return task_document(task, is_admin=True, waits=task.step == WAITING)
