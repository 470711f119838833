"""``/v2/images/{id}/members`` (no. 13 to 16)."""

from __future__ import annotations

from typing import ClassVar

from falcon.asgi import Request, Response

from douane.api.documents.records import Document, member_document, member_list_document
from douane.api.errors import not_found
from douane.api.identity.rights import Identity, is_owner, require_change, require_member_answer, require_member_list
from douane.api.requests.member_requests import read_answer, read_member, read_new_member
from douane.catalog.records import MemberStatus

from .base import Resource, answer, answer_empty, identity_of, read_body


class Members(Resource):
    """The members of an image."""

    bodies: ClassVar = frozenset({"POST"})

    async def on_get(self, req: Request, resp: Response, image_id: str) -> None:
        """All members for the owner; a member reads its own entry only."""
        answer(resp, await self.service.pool.run(self._list, identity_of(req), image_id))

    async def on_post(self, req: Request, resp: Response, image_id: str) -> None:
        """Share the image with a project; 200, as Glance."""
        identity = identity_of(req)
        project = read_new_member(await read_body(req))
        answer(resp, await self.service.pool.run(self._add, identity, image_id, project))

    def _list(self, identity: Identity, image_id: str) -> Document:
        image, access = self.service.visible(identity, image_id)
        require_member_list(identity, access)
        members = self.service.catalog.members(image.id)
        if not (identity.is_admin or is_owner(identity, access)):
            members = [member for member in members if member.project == identity.project_id]
        return member_list_document(members)

    def _add(self, identity: Identity, image_id: str, project: str) -> Document:
        image, access = self.service.visible(identity, image_id)
        require_change(identity, access, "share")
        return member_document(self.service.catalog.add_member(image.id, project, self.service.rules.quotas))


class Member(Resource):
    """One member of an image."""

    bodies: ClassVar = frozenset({"PUT"})

    async def on_get(self, req: Request, resp: Response, image_id: str, member: str) -> None:
        """Read the entry of the member."""
        answer(resp, await self.service.pool.run(self._read, identity_of(req), image_id, read_member(member)))

    async def on_put(self, req: Request, resp: Response, image_id: str, member: str) -> None:
        """Accept or reject the image."""
        identity = identity_of(req)
        project = read_member(member)
        status = read_answer(await read_body(req))
        answer(resp, await self.service.pool.run(self._reply, identity, image_id, project, status))

    async def on_delete(self, req: Request, resp: Response, image_id: str, member: str) -> None:
        """No longer share the image with the project."""
        await self.service.pool.run(self._remove, identity_of(req), image_id, read_member(member))
        answer_empty(resp)

    def _read(self, identity: Identity, image_id: str, project: str) -> Document:
        image, access = self.service.visible(identity, image_id)
        require_member_list(identity, access)
        if not (identity.is_admin or is_owner(identity, access) or project == identity.project_id):
            raise not_found(f"There is no member {project} of image {image.id}.")
        return member_document(self.service.catalog.member(image.id, project))

    def _reply(self, identity: Identity, image_id: str, project: str, status: MemberStatus) -> Document:
        image, access = self.service.visible(identity, image_id)
        require_member_answer(identity, access, project)
        return member_document(self.service.catalog.answer_member(image.id, project, status))

    def _remove(self, identity: Identity, image_id: str, project: str) -> None:
        image, access = self.service.visible(identity, image_id)
        require_change(identity, access, "change the members of")
        self.service.catalog.remove_member(image.id, project)
