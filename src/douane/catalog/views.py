"""What a query's view sees, as parts that do not overlap, and that an index reads in the order of the query."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, true

from . import values
from .fields import VISIBILITIES
from .query import ImageQuery
from .schema import images, members
from .unindexed import unindexed_text

_OPEN = ("public", "community")


class Part(NamedTuple):
    """A part of a view."""

    condition: ColumnElement[bool]
    column: str | None
    """The column that has one value in this part: the indexes that begin with it have the images in any order."""


def parts(query: ImageQuery, *, many_memberships: bool) -> list[Part]:
    """The parts: an image that the query may list is in one of them. Raises BadValue.

    Images that are shared with the project are read from its memberships, or if those are many, in the query's order.
    """
    asked = query.visibility
    if asked is not None:
        values.one_of("the visibility", asked, ("all", *VISIBILITIES))
    values.one_of("the member status", query.member_status, ("all", "pending", "accepted", "rejected"))
    mine = None if query.project is None else images.c.owner == values.text("the project", query.project)
    if query.everything:
        return _everything(query, mine)
    shown = ("public",) if asked is None else _OPEN if asked == "all" else (asked,)
    others = true() if mine is None else images.c.owner.is_distinct_from(query.project)
    seen: list[Part] = []
    if mine is not None:
        seen.append(Part(mine if asked in (None, "all") else and_(mine, images.c.visibility == asked), "owner"))
    for visibility in shown:
        if visibility in _OPEN:
            seen.append(Part(and_(images.c.visibility == visibility, others), "visibility"))
    if mine is not None and asked in (None, "all", "shared"):
        shared = images.c.visibility if many_memberships else unindexed_text(images.c.visibility)
        with_me = _shared_with(query) if many_memberships else images.c.id.in_(memberships(query))
        seen.append(Part(and_(with_me, shared == "shared", others), "visibility" if many_memberships else "id"))
    return seen


def _everything(query: ImageQuery, mine: ColumnElement[bool] | None) -> list[Part]:
    owners = query.text.get("owner", ())
    if query.visibility in (None, "all"):
        # Written without an index: those of visibility and owner are not in the order of the query here.
        listed = unindexed_text(images.c.visibility) != "community"
        if mine is not None:
            listed = or_(listed, mine)
        rest = true() if query.visibility == "all" else listed
    else:
        rest = images.c.visibility == query.visibility
    if len(owners) == 1:
        return [Part(and_(images.c.owner == owners[0], rest), "owner")]
    return [Part(rest, "visibility" if query.visibility not in (None, "all") else None)]


def may_be_marker(query: ImageQuery) -> ColumnElement[bool]:
    """The images that the view sees if it knows their ids."""
    if query.everything:
        return true()
    if query.project is None:
        return images.c.visibility.in_(_OPEN)
    shared = and_(_shared_with(query, any_status=True), images.c.visibility == "shared")
    return or_(images.c.visibility.in_(_OPEN), images.c.owner == query.project, shared)


def memberships(query: ImageQuery) -> Select[tuple[str]]:
    """The images that the project is a member of, with an answer that the query asks for."""
    mine = select(members.c.image_id).where(members.c.project == query.project)
    return mine if query.member_status == "all" else mine.where(members.c.status == query.member_status)


def _shared_with(query: ImageQuery, *, any_status: bool = False) -> ColumnElement[bool]:
    member = and_(members.c.image_id == images.c.id, members.c.project == query.project)
    if query.member_status != "all" and not any_status:
        member = and_(member, members.c.status == query.member_status)
    return exists().where(member)
