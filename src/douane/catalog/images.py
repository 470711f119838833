"""Images: create, read, find, delete, deactivate; edits are in `edits.py`, queries of the Image API in `find.py`."""

import uuid
from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, and_, exc, insert, select, update

from douane.errors import CatalogError, Conflict, NotFound

from . import fields, rows, states, usage, values
from .begin import NO_LEASE
from .database import Database
from .kept_reports import forget_reports
from .records import Image, now
from .schema import images, tasks

_FILTERS = ("name", "status", "owner", "disk_format", "container_format")
_STATUSES = (*states.LIVE, "deleted")


class Images:
    """The operations on images; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def create_image(
        self,
        *,
        name: str | None,
        disk_format: str | None = None,
        container_format: str | None = None,
        properties: Mapping[str, str] | None = None,
        owner: str | None = None,
        image_id: str | None = None,
        visibility: str = "shared",
        protected: bool = False,
        hidden: bool = False,
        min_disk: int = 0,
        min_ram: int = 0,
        tags: Iterable[str] = (),
        quota: int | None = None,
        wanted_store: str | None = None,
    ) -> Image:
        """Create a queued image from the declared facts; `image_id` is a UUID, by default a new one. `quota` is the
        number of images that `owner` may have then, `wanted_store` the store of imports that name none.

        Raises Conflict (``exists``) if the id was ever used, BadValue, and OverQuota.
        """
        with self._database.write() as connection:
            image = insert_image(
                connection,
                {
                    "name": name,
                    "disk_format": disk_format,
                    "container_format": container_format,
                    "owner": owner,
                    "visibility": visibility,
                    "protected": protected,
                    "hidden": hidden,
                    "min_disk": min_disk,
                    "min_ram": min_ram,
                },
                properties=properties or {},
                tags=tags,
                image_id=image_id,
                wanted_store=wanted_store,
            )
            usage.check_count(connection, owner, quota)
            return image

    def image(self, image_id: str) -> Image:
        """The image with this id, also a deleted image. Raises NotFound."""
        with self._database.read() as connection:
            return rows.image(connection, image_id)

    def images(self, include_deleted: bool = False, **filters: str | None) -> list[Image]:
        """All images, oldest first; `filters` are equal values of name, status, owner, disk_format,
        container_format.

        Raises BadValue for another filter, or for a status that does not exist.
        """
        where: list[ColumnElement[bool]] = []
        for name, value in filters.items():
            values.one_of("a filter", name, _FILTERS)
            if name == "status":
                values.one_of("the status", value, _STATUSES)
            where.append(images.c[name] == value)
        if not include_deleted and filters.get("status") != "deleted":
            where.append(images.c.status != "deleted")
        with self._database.read() as connection:
            return rows.images_where(connection, and_(True, *where))

    def active_images(self, after: str = "", limit: int = 500) -> list[Image]:
        """Active images in the order of their ids, at most `limit`, from the first behind the id `after`, whose image
        may have been deleted meanwhile."""
        page = select(images.c.id).where(images.c.id > after, images.c.status == "active")
        with self._database.read() as connection:
            ids = list(connection.execute(page.order_by(images.c.id).limit(limit)).scalars())
            return rows.images_by_id(connection, ids)

    def find(self, prefix: str) -> Image:
        """The image with this id, or the only live image whose id begins with these 4 or more characters.

        Raises NotFound, or CatalogError (``ambiguous``), which names the first matches.
        """
        if not isinstance(prefix, str) or not 4 <= len(prefix) <= 36 or prefix.strip("0123456789abcdef-"):
            raise NotFound(f"there is no image {prefix!r:.80}; give an id, or at least its first 4 characters")
        with self._database.read() as connection:
            if len(prefix) == 36:
                return rows.image(connection, prefix)
            matches = rows.images_where(
                connection,
                and_(images.c.id.startswith(prefix, autoescape=True), images.c.status != "deleted"),
            )
        if not matches:
            raise NotFound(f"there is no image whose id begins with {prefix}")
        if len(matches) > 1:
            some = ", ".join(image.id for image in matches[:3]) + (", …" if len(matches) > 3 else "")
            raise CatalogError(
                f"{len(matches)} images have ids that begin with {prefix}: {some}; give more of it", code="ambiguous"
            )
        return matches[0]

    def delete(self, image_id: str) -> Image:
        """Delete the image, in any state; a running import is cancelled, and notices at its next step.

        The caller deletes the bytes in the image's stores afterwards. Raises NotFound; Protected; Conflict if the image
        is deleted.
        """
        with self._database.write() as connection:
            states.step(connection, image_id, states.DELETE, {})
            ended = {
                "token": tasks.c.token + 1,  # the token of its worker is void now
                "step": "done",
                "outcome": "cancelled",
                "code": "image-deleted",
                "message": "the image was deleted while it was being imported",
                "updated_at": now(),
                **NO_LEASE,
            }
            running = and_(tasks.c.image_id == image_id, tasks.c.outcome.is_(None))
            connection.execute(update(tasks).where(running).values(ended))
            forget_reports(connection, image_id)
            return rows.image(connection, image_id)

    def deactivate(self, image_id: str) -> Image:
        """Prevent the use of an active image without deleting it. Raises NotFound, Conflict."""
        with self._database.write() as connection:
            states.step(connection, image_id, states.DEACTIVATE, {})
            return rows.image(connection, image_id)

    def reactivate(self, image_id: str) -> Image:
        """Allow the use of a deactivated image again. Raises NotFound, Conflict."""
        with self._database.write() as connection:
            states.step(connection, image_id, states.REACTIVATE, {})
            return rows.image(connection, image_id)


def insert_image(
    connection: Connection,
    declared: Mapping[str, object],
    *,
    properties: Mapping[str, str],
    tags: Iterable[str] = (),
    image_id: str | None = None,
    wanted_store: str | None = None,
) -> Image:
    """Write a queued image with the `declared` fields inside a transaction; see :meth:`Images.create_image`."""
    tenant_properties = values.tenant_properties(properties)
    image_tags = values.words("a tag", tags)
    at = now()
    key = values.identifier(image_id if image_id is not None else str(uuid.uuid4()))
    row = {
        "id": key,
        "status": "queued",
        "token": 0,
        "created_at": at,
        "updated_at": at,
        "wanted_store": values.optional_text("the id of a store", wanted_store),
        **fields.columns(declared),
    }
    try:
        connection.execute(insert(images).values(row))
    except exc.IntegrityError as error:
        raise Conflict(
            f"an image {key} exists or existed; ids are never used twice",
            code="exists",
            actual="exists",
            expected="no such image",
        ) from error
    rows.insert_properties(connection, key, {name: (value, "") for name, value in tenant_properties.items()})
    rows.insert_tags(connection, key, image_tags)
    return rows.image(connection, key)
