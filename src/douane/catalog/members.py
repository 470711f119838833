"""Members: the projects that an image is shared with, and the stores that hold a copy of it.

Who may do what is decided by the caller. The rules here are those that every caller keeps: an image gets members only
while it is "shared", a project is a member once, and a change of a member that does not exist is NotFound.
"""

from sqlalchemy import Connection, delete, exc, func, insert, literal_column, select, update

from douane.errors import Conflict, NotFound

from . import rows, states, values
from .database import Database
from .edits import UNLIMITED, check_quota
from .holding import hold_image
from .query import Quotas
from .records import Image, Member, member_of, now
from .schema import images, members, stores

COPIES_AT_ONCE = 1000
_STATUSES = ("pending", "accepted", "rejected")


class Members:
    """The operations on members and copies; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def add_member(self, image_id: str, project: str, quotas: Quotas = UNLIMITED) -> Member:
        """Share the image with a project, which has not answered yet ("pending").

        Raises NotFound, BadValue, OverQuota; Conflict: ``wrong-state`` if the image is deleted, ``not-shared`` if its
        visibility is another, ``exists`` if the project is a member.
        """
        at = now()
        row = {"project": values.text("the project", project), "status": "pending", "created_at": at, "updated_at": at}
        with self._database.write() as connection:
            states.step(connection, image_id, states.SHARE, {})
            hold_image(connection, image_id)
            _require_shared(connection, image_id)
            counted = select(func.count()).select_from(members).where(members.c.image_id == image_id)
            count = connection.execute(counted).scalar_one()
            try:
                connection.execute(insert(members).values(image_id=image_id, **row))
            except exc.IntegrityError as error:
                raise Conflict(
                    f"the project {project:.80} is a member of image {image_id} already",
                    code="exists",
                    actual="a member",
                    expected="no member",
                ) from error
            check_quota("members", count, count + 1, quotas.members)
            return _member(connection, image_id, project)

    def answer_member(self, image_id: str, project: str, status: str) -> Member:
        """Record the project's answer: "accepted", "rejected", or "pending" again.

        Raises NotFound, BadValue, and Conflict if the image is deleted.
        """
        row = {"status": values.one_of("the status of a member", status, _STATUSES), "updated_at": now()}
        with self._database.write() as connection:
            states.step(connection, image_id, states.SHARE, {})
            hold_image(connection, image_id)
            matching = update(members).where(members.c.image_id == image_id, members.c.project == project)
            if connection.execute(matching.values(row)).rowcount != 1:
                raise _no_member(image_id, project)
            return _member(connection, image_id, project)

    def remove_member(self, image_id: str, project: str) -> None:
        """No longer share the image with the project. Raises NotFound, and Conflict if the image is deleted."""
        with self._database.write() as connection:
            states.step(connection, image_id, states.SHARE, {})
            hold_image(connection, image_id)
            matching = delete(members).where(members.c.image_id == image_id, members.c.project == project)
            if connection.execute(matching).rowcount != 1:
                raise _no_member(image_id, project)

    def member(self, image_id: str, project: str) -> Member:
        """The member of the image. Raises NotFound."""
        with self._database.read() as connection:
            return _member(connection, image_id, project)

    def members(self, image_id: str) -> list[Member]:
        """All members of the image, in the order in which they were added."""
        matching = select(members).where(members.c.image_id == image_id)
        with self._database.read() as connection:
            ordered = connection.execute(matching.order_by(members.c.created_at, members.c.project))
            return [member_of(row._asdict()) for row in ordered]

    def add_store(self, image_id: str, store: str) -> Image:
        """Record that a store holds a copy of the image, too; no error if it was recorded.

        The bytes must be published there before. Raises NotFound, BadValue; Conflict if the image is not active or
        deactivated: then the copy must be deleted.
        """
        values.text("the id of a store", store)
        with self._database.write() as connection:
            states.step(connection, image_id, states.COPY, {})
            recorded = select(stores).where(stores.c.image_id == image_id, stores.c.store == store)
            if connection.execute(recorded).first() is None:
                connection.execute(insert(stores).values(image_id=image_id, store=store))
            return rows.image(connection, image_id)

    def remove_store(self, image_id: str, store: str) -> Image:
        """Record that a store no longer holds the image; the caller deletes the bytes there afterwards.

        Of a deleted image, every store can be removed. Raises NotFound, also if the store does not hold the image;
        Conflict (``last-copy``) if no other store has it, or only what a transform made of it.
        """
        with self._database.write() as connection:
            states.step(connection, image_id, states.FORGET_COPY, {})
            matching = delete(stores).where(stores.c.image_id == image_id, stores.c.store == store)
            if connection.execute(matching).rowcount != 1:
                raise NotFound(f"the store {store!r:.80} holds no copy of image {image_id}")
            image = rows.image(connection, image_id)
            if not image.own_stores and image.status != "deleted":
                others = f"; {', '.join(image.stores)} hold what was made of it" if image.stores else ""
                raise Conflict(
                    f"the store {store} holds the last copy of image {image_id}{others}; delete the image instead",
                    code="last-copy",
                    actual="the last copy",
                    expected="a copy elsewhere",
                )
            return image

    def copies_of_deleted(self) -> list[tuple[str, str]]:
        """Deleted images and stores that still hold them, as far as is recorded, `COPIES_AT_ONCE` at most.

        All recorded copies are read: 1.7 s for 1,000,000 images in PostgreSQL, on a busy machine.
        """
        deleted = images.c.status == literal_column("'deleted'")
        matching = select(stores.c.image_id, stores.c.store).join(images, images.c.id == stores.c.image_id)
        with self._database.read() as connection:
            rows = connection.execute(matching.where(deleted).limit(COPIES_AT_ONCE))
            return [(row.image_id, row.store) for row in rows]


def _require_shared(connection: Connection, image_id: str) -> None:
    visibility = connection.execute(select(images.c.visibility).where(images.c.id == image_id)).scalar_one()
    if visibility != "shared":
        raise Conflict(
            f"image {image_id} is {visibility}; only a shared image has members",
            code="not-shared",
            actual=visibility,
            expected="shared",
        )


def _member(connection: Connection, image_id: str, project: str) -> Member:
    matching = select(members).where(members.c.image_id == image_id, members.c.project == project)
    row = connection.execute(matching).first()
    if row is None:
        raise _no_member(image_id, project)
    return member_of(row._asdict())


def _no_member(image_id: str, project: str) -> NotFound:
    return NotFound(f"the project {project!r:.80} is no member of image {image_id}")
