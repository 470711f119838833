"""Linux md RAID: the arrays of which all that is needed is on one disk."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source, Window

from .layouts import layout_of
from .md import Member
from .pieces import Piece, Pieces
from .raid import MAX_MEMBERS, Members, Mirror, Parity, Striped, Tenfold

LINEAR, MIRROR, TENFOLD = -1, 1, 10


def assemble(members: list[Member], budget: Budget) -> Source:
    """The array of these members, which have the same identity. Raises Unsupported if too few of them are here."""
    newest = max(members, key=lambda member: member.events)
    if newest.reshaping:
        raise Unsupported("an md array was being reshaped", "guest-unclean")
    if newest.trouble:
        raise Unsupported(f"an md array: {newest.trouble}", "guest-unclean")
    if not 1 <= newest.width <= MAX_MEMBERS:
        raise Broken(f"an md array has {newest.width} members")
    roles: list[Source | None] = [None] * newest.width
    for member in members:
        budget.step()
        # The driver takes a member whose count of events is one behind.
        if member.role is None or member.events + 1 < newest.events:
            continue
        if _shape(member) != _shape(newest):
            raise Broken("the members of an md array differ in what they say of it")
        if member.role >= newest.width:
            raise Broken(f"a member of an md array of {newest.width} has the role {member.role}")
        if roles[member.role] is not None:
            raise Broken(f"two members of an md array have the role {member.role}")
        roles[member.role] = Window(member.source, member.data_offset, member.data_size)
    return _source(newest, roles, budget)


def _shape(member: Member) -> tuple[object, ...]:
    return member.version, member.level, member.layout, member.chunk, member.width, member.used_size


def _source(array: Member, roles: Members, budget: Budget) -> Source:
    level, size, chunk = array.level, array.used_size, array.chunk
    if level == LINEAR:
        return _linear(roles, chunk)
    if level == 0:
        return Striped(roles, chunk, budget, layout=array.layout)
    if level == MIRROR:
        return Mirror(roles, size, synchronized=None if array.synchronized < 0 else array.synchronized)
    if array.synchronized >= 0 and level != TENFOLD and None in roles:
        raise Unsupported("an md array lacks a member, and its parity was never computed", "guest-unclean")
    if level in (4, 5, 6):
        return Parity(roles, chunk, size, 2 if level == 6 else 1, layout_of(level, array.layout), budget)
    if level == TENFOLD:
        near, far = array.layout & 0xFF, array.layout >> 8 & 0xFF
        if array.layout >> 17 and far > 1:
            raise Unsupported(f"an md array of RAID 10 with the layout {array.layout:#x}")
        return Tenfold(roles, chunk, size, near, far, bool(array.layout & 0x10000), budget)
    raise Unsupported(f"an md array of the level {level}")


def _linear(roles: Members, chunk: int) -> Source:
    pieces = []
    for member in roles:
        if member is None:
            raise Unsupported("a member of a linear md array is not on this disk")
        pieces.append(Piece(member.size // chunk * chunk if chunk else member.size, member, 0))
    return Pieces(pieces)
