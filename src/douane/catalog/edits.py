"""Edits of an image by requests: typed changes, all or none, and tags."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, delete, select

from douane.errors import CatalogError, Conflict, NotFound, OverQuota

from . import fields, rows, states, values
from .database import Database
from .query import Change, Quotas, RemoveProperty, SetField, SetProperty, SetTags
from .records import Image
from .schema import properties, tags

UNLIMITED = Quotas()


@dataclass
class Editable:
    """What an edit may change, beside columns: in the catalog before the edit, and as the changes make it."""

    properties: dict[str, str]
    """The tenant's."""

    plugins: dict[str, str]
    """The plugin of each property that a plugin set, and that no request may change."""

    tags: list[str]
    columns: dict[str, str | int | bool | None] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        """Make one change. Raises BadValue, Conflict (``property-exists``, ``property-missing``), or CatalogError
        (``reserved``)."""
        match change:
            case SetField():
                if change.field not in fields.CHECKS:
                    raise CatalogError(
                        f"the field {change.field!r:.80} cannot be edited; only {', '.join(fields.CHECKS)}, "
                        "tags and properties can",
                        code="reserved",
                    )
                self.columns[change.field] = fields.CHECKS[change.field](change.value)
            case SetTags():
                self.tags = values.words("a tag", change.tags)
            case SetProperty():
                self._require(change.name, change.present)
                self.properties.update(values.tenant_properties({change.name: change.value}))
            case RemoveProperty():
                self._require(change.name, True if change.present else None)
                self.properties.pop(change.name, None)

    def _require(self, name: str, present: bool | None) -> None:
        values.text("the name of a property", name)
        if name in self.plugins:
            raise CatalogError(
                f"the property {name!r:.80} was set by the plugin {self.plugins[name]} and cannot be edited",
                code="reserved",
            )
        if present is not None and present != (name in self.properties):
            raise Conflict(
                f"the image has {'no' if present else 'a'} property {name!r:.80}{'' if present else ' already'}",
                code="property-missing" if present else "property-exists",
                actual="absent" if present else "present",
                expected="present" if present else "absent",
            )


class Edits:
    """The edits of images; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def edit(self, image_id: str, changes: Iterable[Change], quotas: Quotas = UNLIMITED) -> Image:
        """Make all `changes`, in their order, or none; columns that no change names are not written.

        Legal in every state but "deleted"; changes of the two formats only while "queued". An edit that adds nothing is
        never over a quota. Raises NotFound; BadValue; Conflict (``wrong-state``, ``property-exists``,
        ``property-missing``); OverQuota; CatalogError (``reserved``) for any other field, and for a property that a
        plugin set.
        """
        changes = list(changes)
        edited = {change.field for change in changes if isinstance(change, SetField)}
        what = states.EDIT_FORMAT if edited & fields.FORMATS else states.EDIT

        def apply(editable: Editable) -> None:
            for change in changes:
                editable.apply(change)

        return self._edit(image_id, what, apply, quotas)

    def add_tag(self, image_id: str, tag: str, quotas: Quotas = UNLIMITED) -> Image:
        """Add a tag; no error if the image has it. Raises NotFound, BadValue, Conflict, OverQuota."""

        def add(editable: Editable) -> None:
            editable.tags = values.words("a tag", [*editable.tags, tag])

        return self._edit(image_id, states.EDIT, add, quotas)

    def remove_tag(self, image_id: str, tag: str) -> Image:
        """Remove a tag. Raises NotFound, also if the image does not have the tag, and Conflict."""

        def remove(editable: Editable) -> None:
            if tag not in editable.tags:
                raise NotFound(f"the image {image_id} has no tag {tag!r:.80}")
            editable.tags = [name for name in editable.tags if name != tag]

        return self._edit(image_id, states.EDIT, remove, UNLIMITED)

    def _edit(self, image_id: str, what: states.Step, apply: Callable[[Editable], None], quotas: Quotas) -> Image:
        with self._database.write() as connection:
            # The step comes first: it holds the row of the image until the end of the transaction.
            states.step(connection, image_id, what, {})
            editable = _read(connection, image_id)
            before = (dict(editable.properties), list(editable.tags))
            apply(editable)
            check_quota("properties", len(before[0]), len(editable.properties), quotas.properties)
            check_quota("tags", len(before[1]), len(editable.tags), quotas.tags)
            if editable.columns:
                states.step(connection, image_id, what, editable.columns)
            _write_properties(connection, image_id, before[0], editable.properties)
            _write_tags(connection, image_id, set(before[1]), set(editable.tags))
            return rows.image(connection, image_id)


def check_quota(what: str, before: int, after: int, quota: int | None) -> None:
    """Raise OverQuota if the number of `what` grows beyond the quota."""
    if quota is not None and after > max(quota, before):
        raise OverQuota(f"the image would have {after} {what}; at most {quota} are allowed")


def _read(connection: Connection, image_id: str) -> Editable:
    matching = select(properties).where(properties.c.image_id == image_id).order_by(properties.c.source)
    stored = connection.execute(matching).all()
    matching_tags = select(tags.c.tag).where(tags.c.image_id == image_id).order_by(tags.c.tag)
    return Editable(
        properties={row.name: row.value for row in stored if not row.source},
        plugins={row.name: row.source for row in stored if row.source},
        tags=list(connection.execute(matching_tags).scalars()),
    )


def _write_properties(connection: Connection, image_id: str, before: dict[str, str], after: dict[str, str]) -> None:
    gone = [name for name, value in before.items() if after.get(name) != value]
    mine = and_(properties.c.image_id == image_id, properties.c.source == "")
    for name in gone:
        connection.execute(delete(properties).where(mine, properties.c.name == name))
    fresh = {name: (value, "") for name, value in after.items() if before.get(name) != value}
    rows.insert_properties(connection, image_id, fresh)


def _write_tags(connection: Connection, image_id: str, before: set[str], after: set[str]) -> None:
    for tag in sorted(before - after):
        connection.execute(delete(tags).where(tags.c.image_id == image_id, tags.c.tag == tag))
    rows.insert_tags(connection, image_id, sorted(after - before))
