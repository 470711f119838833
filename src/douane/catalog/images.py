"""Images: make, read, find, edit, delete, deactivate."""

import uuid
from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, and_, delete, exc, insert, update

from douane.catalog import rows, states, values
from douane.catalog.database import Database
from douane.catalog.records import Image, now
from douane.catalog.schema import images, properties, tasks
from douane.errors import CatalogError, Conflict, NotFound

_FILTERS = ("name", "status", "owner", "disk_format", "container_format")
_EDITABLE = ("name", "disk_format", "container_format")
_STATUSES = (*states.LIVE, "deleted")


class Images:
    """What may be done with images; a part of :class:`~douane.catalog.Catalog`."""

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
    ) -> Image:
        """Make a queued image from what its tenant declares; `image_id` is a UUID, by default a new one.

        Raises Conflict (``exists``) when the id was ever used, CatalogError (``bad-value``).
        """
        with self._database.write() as connection:
            return insert_image(
                connection,
                name=name,
                disk_format=disk_format,
                container_format=container_format,
                properties=properties,
                owner=owner,
                image_id=image_id,
            )

    def image(self, image_id: str) -> Image:
        """The image with this id, a deleted one too. Raises NotFound."""
        with self._database.read() as connection:
            return rows.image(connection, image_id)

    def images(self, include_deleted: bool = False, **filters: str | None) -> list[Image]:
        """All images, oldest first; `filters` are equal values of name, status, owner, disk_format,
        container_format.

        Raises CatalogError for another filter, or for a status that does not exist.
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

    def find(self, prefix: str) -> Image:
        """The image with this id, or the one live image whose id begins with these 4 or more characters.

        Raises NotFound, or CatalogError (``ambiguous``) that names the first few.
        """
        if not isinstance(prefix, str) or not 4 <= len(prefix) <= 36 or prefix.strip("0123456789abcdef-"):
            raise NotFound(f"there is no image {prefix!r:.80}; give an id, or at least its first 4 characters")
        with self._database.read() as connection:
            if len(prefix) == 36:
                return rows.image(connection, prefix)
            found = rows.images_where(
                connection,
                and_(images.c.id.startswith(prefix, autoescape=True), images.c.status != "deleted"),
            )
        if not found:
            raise NotFound(f"there is no image whose id begins with {prefix}")
        if len(found) > 1:
            some = ", ".join(image.id for image in found[:3]) + (", …" if len(found) > 3 else "")
            raise CatalogError(
                f"{len(found)} images have ids that begin with {prefix}: {some}; give more of it", code="ambiguous"
            )
        return found[0]

    def edit(
        self,
        image_id: str,
        *,
        changes: Mapping[str, str | None] | None = None,
        set_properties: Mapping[str, str] | None = None,
        remove_properties: Iterable[str] = (),
    ) -> Image:
        """Change what a tenant may change: `changes` of name, disk_format, container_format; and properties.

        Only what is named is written. Legal in every state but "deleted"; the formats only while "queued". A
        property that is not there may be removed. Raises NotFound; Conflict (``wrong-state``); CatalogError
        (``reserved``) for any other field, and for a property that a plugin set.
        """
        changes = dict(changes or {})
        for name in changes:
            if name not in _EDITABLE:
                raise CatalogError(
                    f"the field {name!r:.80} cannot be edited; only {', '.join(_EDITABLE)} and properties can",
                    code="reserved",
                )
        row = _fields(changes)
        wanted = values.tenant_properties(set_properties or {})
        gone = {values.text("the name of a property", name) for name in remove_properties} - set(wanted)
        what = states.EDIT_FORMAT if {"disk_format", "container_format"} & set(row) else states.EDIT
        with self._database.write() as connection:
            states.step(connection, image_id, what, row)
            rows.refuse_plugins_properties(connection, image_id, {*wanted, *gone})
            mine = and_(properties.c.image_id == image_id, properties.c.source == "")
            for name in sorted({*wanted, *gone}):
                connection.execute(delete(properties).where(mine, properties.c.name == name))
            rows.insert_properties(connection, image_id, {name: (value, "") for name, value in wanted.items()})
            return rows.image(connection, image_id)

    def delete(self, image_id: str) -> Image:
        """Delete the image, in any state; an import under way is cancelled, and finds out at its next step.

        The bytes in the store are the caller's to delete afterwards. Raises NotFound, Conflict when it is
        deleted.
        """
        with self._database.write() as connection:
            states.step(connection, image_id, states.DELETE, {})
            ended = {
                "token": tasks.c.token + 1,  # its worker's is worth nothing now
                "step": "done",
                "outcome": "cancelled",
                "code": "image-deleted",
                "message": "the image was deleted while it was being imported",
                "updated_at": now(),
            }
            running = and_(tasks.c.image_id == image_id, tasks.c.outcome.is_(None))
            connection.execute(update(tasks).where(running).values(ended))
            return rows.image(connection, image_id)

    def deactivate(self, image_id: str) -> Image:
        """Keep an active image from being used, without deleting it. Raises NotFound, Conflict."""
        with self._database.write() as connection:
            states.step(connection, image_id, states.DEACTIVATE, {})
            return rows.image(connection, image_id)

    def reactivate(self, image_id: str) -> Image:
        """Let a deactivated image be used again. Raises NotFound, Conflict."""
        with self._database.write() as connection:
            states.step(connection, image_id, states.REACTIVATE, {})
            return rows.image(connection, image_id)


def _fields(found: Mapping[str, object]) -> dict[str, str | None]:
    """The tenant's fields that are named in `found`, checked."""
    formats = values.formats(found.get("disk_format"), found.get("container_format"))
    row = {name: formats[name] for name in formats if name in found}
    if "name" in found:
        name = found["name"]
        row["name"] = None if name is None else values.text("the name", name, empty=True)
    return row


def insert_image(
    connection: Connection,
    *,
    name: str | None,
    disk_format: str | None,
    container_format: str | None,
    properties: Mapping[str, str] | None,
    owner: str | None,
    image_id: str | None,
) -> Image:
    """Write a queued image inside a transaction; what :meth:`Images.create_image` says holds."""
    found = values.tenant_properties(properties or {})
    at = now()
    row = {
        "id": values.identifier(image_id if image_id is not None else str(uuid.uuid4())),
        "status": "queued",
        "owner": values.optional_text("the owner", owner),
        "token": 0,
        "created_at": at,
        "updated_at": at,
        **_fields({"name": name, "disk_format": disk_format, "container_format": container_format}),
    }
    try:
        connection.execute(insert(images).values(row))
    except exc.IntegrityError as error:
        raise Conflict(
            f"an image {row['id']} is or was there already; ids are never used twice",
            code="exists",
            actual="exists",
            expected="no such image",
        ) from error
    rows.insert_properties(connection, str(row["id"]), {name: (value, "") for name, value in found.items()})
    return rows.image(connection, str(row["id"]))
