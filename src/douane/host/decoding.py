"""The payloads of the frames that a plugin's process sends, checked as they are decoded."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from douane_plugin import wire
from douane_plugin._exceptions import check_code

from .messages import MOST_BYTES, MOST_SECONDS, Accept, Answer, Defer, Described, Refuse, Violation, name_of
from .policy import clean

READS = re.compile(r"nothing|findings|stream|random|guest|guest\+findings|files|head:[1-9][0-9]{0,17}", re.ASCII)

M = TypeVar("M", bound=msgspec.Struct)


def decode(kind: int, payload: bytes, message: type[M]) -> M:
    """The payload of a JSON frame. Raises Violation."""
    try:
        return msgspec.json.decode(payload, type=message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Violation(f"its {name_of(kind)} frame is not valid: {error}") from error


def decode_offset(kind: int, payload: bytes) -> int:
    """The integer of a binary frame. Raises Violation."""
    if len(payload) != 8:
        raise Violation(f"its {name_of(kind)} frame has {len(payload)} bytes, not 8")
    return int.from_bytes(payload, "little")


def decode_description(payload: bytes) -> Described:
    """A DESCRIBED frame whose `reads` fits its kind. Raises Violation."""
    described = decode(wire.DESCRIBED, payload, Described)
    if not READS.fullmatch(described.reads):
        raise Violation(f"it describes itself with reads = {described.reads!r:.60}")
    if described.is_transform and described.reads not in ("stream", "random"):
        raise Violation(f"it describes itself as a transform with reads = {described.reads!r:.60}")
    return described


def decode_answer(kind: int, payload: bytes) -> Answer:
    """An ACCEPT, REFUSE, DEFER or INCOMPLETE frame. Raises Violation."""
    if kind == wire.ACCEPT:
        accept = decode(kind, payload, Accept)
        return Answer(
            outcome="accepted",
            properties=accept.properties or {},
            proposed=accept.proposed or {},
            documents=accept.documents,
            seen=_count(accept.seen),
            looked_at_unread=accept.unread,
        )
    if kind == wire.DEFER:
        defer = decode(kind, payload, Defer)
        delay = defer.retry_after
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 < delay < MOST_SECONDS:
            raise Violation("its DEFER frame has an invalid 'retry_after'")
        return Answer(
            outcome="deferred",
            code="deferred",
            message=clean(defer.message),
            retry_after=float(delay),
            documents=defer.documents,
            seen=_count(defer.seen),
        )
    refuse = decode(kind, payload, Refuse)
    return Answer(
        outcome="refused" if kind == wire.REFUSE else "incomplete",
        code=valid_code(refuse.code),
        message=clean(refuse.message),
        documents=refuse.documents,
        seen=_count(refuse.seen),
    )


def _count(seen: Any) -> int | None:
    is_count = isinstance(seen, int) and not isinstance(seen, bool) and seen >= 0
    return min(seen, MOST_BYTES) if is_count else None


def valid_code(code: str) -> str:
    """`code`, if it is a code. Raises Violation."""
    try:
        return check_code(code)
    except ValueError as error:
        raise Violation(str(error)) from error
