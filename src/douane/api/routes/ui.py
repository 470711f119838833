"""``/ui``: the pages for people. Errors are pages, too, and who has no valid token is sent to the form."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar

from falcon.asgi import Request, Response

from douane.api.documents.records import Document
from douane.api.errors import HttpError, bad_request, http_error, not_found
from douane.api.identity.rights import Identity
from douane.api.requests.identifiers import read_uuid
from douane.api.ui.detail import import_detail
from douane.api.ui.filters import PAGE, Filters, read_filters
from douane.api.ui.render import (
    HEADERS,
    STATIC_TYPES,
    error_page,
    import_page,
    list_page,
    login_page,
    static_file,
)
from douane.api.ui.rows import MAX_LIVE, ImportRow, import_row, live_document, may_see_task
from douane.api.ui.session import LOGIN_BYTES, ended_cookie, read_login, require_own_origin, session_cookie, token_of
from douane.catalog.records import Image, Task
from douane.errors import DouaneError, NotFound

from .base import Resource, answer

LIST, LOGIN = "/ui", "/ui/login"


class Page(Resource):
    """A page, or what belongs to one."""

    async def show(self, req: Request, resp: Response, make: Callable[[Identity, bool], str]) -> None:
        """Answer with the HTML that `make` returns, called in a thread with the identity, and whether it logged in."""
        try:
            identity = await self.identify(req)
            html = await self.service.pool.run(make, identity, has_session(req))
        except DouaneError as error:
            self.show_error(req, resp, http_error(error))
        except HttpError as error:
            if error.status == 401:
                leave_for(resp, LOGIN)
            else:
                self.show_error(req, resp, error)
        else:
            send(resp, html)

    async def identify(self, req: Request) -> Identity:
        """Who looks at the page, by the token in the cookie or in the header. Raises HttpError."""
        headers = dict(req.headers_lower)
        token = token_of(headers.pop("cookie", None))
        if token is not None:
            headers.setdefault("x-auth-token", token)
        identify = self.service.authenticator.identify
        return await self.service.pool.run(identify, headers, req.method, req.path)

    def show_error(self, req: Request, resp: Response, error: HttpError) -> None:
        """Answer with a page that says what is wrong."""
        send(resp, error_page(HTTPStatus(error.status).phrase, error.message, req.context.request_id), error.status)

    def image(self, task: Task) -> Image | None:
        """The image of a task, also a deleted one; None if its record is gone."""
        with contextlib.suppress(NotFound):
            return self.service.catalog.image(task.image_id)
        return None

    def row(self, task: Task) -> ImportRow:
        """The row of a task, with what its run waits for."""
        if task.outcome is None and task.report is None:
            with contextlib.suppress(NotFound):
                task = self.service.catalog.task(task.id)  # lists have no reports
        return import_row(task, self.image(task))

    def listed(self, identity: Identity, filters: Filters, limit: int) -> list[Task]:
        """The tasks of the list, the newest first."""
        owner = (filters.project or None) if identity.is_admin else identity.project_id
        if not identity.is_admin and (owner is None or not identity.is_reader):
            return []
        return self.service.catalog.all_tasks(
            status=filters.status,
            outcome=filters.outcome or None,
            code=filters.code or None,
            search=filters.text or None,
            owner=owner,
            marker=filters.marker or None,
            limit=limit,
            requested_only=False,
        )

    def visible_task(self, identity: Identity, task_id: str) -> Task:
        """The task, if the identity may see it. Raises HttpError 404."""
        try:
            task = self.service.catalog.task(read_uuid(task_id) or "")
        except NotFound:
            raise not_found("There is no such import.") from None
        sees_image = True
        if not may_see_task(identity, task, sees_image=False):
            try:
                self.service.visible(identity, task.image_id)
            except HttpError:
                sees_image = False
        if not may_see_task(identity, task, sees_image=sees_image):
            raise not_found("There is no such import.")
        return task


class ImportList(Page):
    """The list of imports."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Show a page of it."""
        await self.show(req, resp, lambda identity, login: self._page(identity, login, req.query_string))

    def _page(self, identity: Identity, login: bool, query: str) -> str:
        filters = read_filters(query, identity)
        tasks = self.listed(identity, filters, PAGE + 1)
        following = filters.query(marker=tasks[PAGE - 1].id) if len(tasks) > PAGE else None
        rows = [self.row(task) for task in tasks[:PAGE]]
        return list_page(identity, rows, filters, following=following, login=login)


class ImportPage(Page):
    """One import."""

    async def on_get(self, req: Request, resp: Response, task_id: str) -> None:
        """Show it."""
        await self.show(req, resp, lambda identity, login: self._page(identity, login, task_id))

    def _page(self, identity: Identity, login: bool, task_id: str) -> str:
        task = self.visible_task(identity, task_id)
        return import_page(identity, import_detail(task, self.image(task), identity), login=login)


class Live(Page):
    """What the script of a page asks."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """The progress of the imports in ``ids``, as JSON; those that the identity may not see are left out. With the
        query of a list in ``newest``, also the id of its first import; empty if there is none."""
        ids = (req.get_param("ids") or "").split(",")
        if len(ids) > MAX_LIVE:
            raise bad_request(f"The query names more than {MAX_LIVE} imports.")
        identity = await self.identify(req)
        query = req.get_param("newest")
        answer(resp, await self.service.pool.run(self._document, identity, ids, query), headers=HEADERS)

    def _document(self, identity: Identity, ids: list[str], query: str | None) -> Document:
        if query is None:
            return live_document(self._rows(identity, ids), None)
        newest = self.listed(identity, read_filters(query, identity), 1)
        return live_document(self._rows(identity, ids), newest[0].id if newest else "")

    def _rows(self, identity: Identity, ids: list[str]) -> list[ImportRow]:
        rows = []
        for task_id in ids:
            with contextlib.suppress(HttpError):
                rows.append(self.row(self.visible_task(identity, task_id)))
        return rows


class Login(Page):
    """The form that takes a token, where Keystone is configured."""

    bodies: ClassVar = frozenset({"POST"})

    async def on_get(self, req: Request, resp: Response) -> None:
        """Show the form; who needs none is sent to the list."""
        try:
            await self.identify(req)
        except HttpError as error:
            if error.status == 401:
                send(resp, login_page())
            else:
                self.show_error(req, resp, error)
        else:
            leave_for(resp, LIST)

    async def on_post(self, req: Request, resp: Response) -> None:
        """Begin a session with the token, if it is valid."""
        try:
            require_own_origin(req.headers_lower)
            token = read_login(await req.context.body.read_all(LOGIN_BYTES))
            headers = {**req.headers_lower, "x-auth-token": token}
            await self.service.pool.run(self.service.authenticator.identify, headers, req.method, req.path)
        except HttpError as error:
            if error.status not in (400, 401):
                self.show_error(req, resp, error)
                return
            problem = "The token is not valid, or has expired." if error.status == 401 else error.message
            send(resp, login_page(problem), error.status)
            return
        leave_for(resp, LIST)
        resp.append_header("Set-Cookie", session_cookie(token, secure=self._is_secure(req)))

    def _is_secure(self, req: Request) -> bool:
        options = self.service.options
        if options.public_endpoint is not None:
            return options.public_endpoint.startswith("https:")
        return req.scheme == "https" or (options.trusts_proxy and req.get_header("X-Forwarded-Proto") == "https")


class Logout(Page):
    """The end of a session."""

    bodies: ClassVar = frozenset({"POST"})

    async def on_post(self, req: Request, resp: Response) -> None:
        """Forget the token."""
        try:
            require_own_origin(req.headers_lower)
        except HttpError as error:
            self.show_error(req, resp, error)
            return
        leave_for(resp, LOGIN)
        resp.append_header("Set-Cookie", ended_cookie())


class StaticFile(Page):
    """The style sheet, the script and the icon."""

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        """Answer the file; without a token."""
        if name not in STATIC_TYPES:
            raise not_found("There is no such file.")
        resp.data = static_file(name)
        resp.content_type = STATIC_TYPES[name]
        set_headers(resp)
        resp.set_header("Cache-Control", "no-cache")


def has_session(req: Request) -> bool:
    """True if the browser keeps a token."""
    return token_of(req.get_header("Cookie")) is not None


def send(resp: Response, html: str, status: int = 200) -> None:
    """Answer with a page."""
    resp.status = status
    resp.content_type = "text/html; charset=utf-8"
    resp.data = html.encode()
    set_headers(resp)


def leave_for(resp: Response, path: str) -> None:
    """Send the browser to another page (303: by GET)."""
    resp.status = 303
    resp.set_header("Location", path)
    set_headers(resp)


def set_headers(resp: Response) -> None:
    """The headers of every answer here."""
    for name, value in HEADERS.items():
        resp.set_header(name, value)
