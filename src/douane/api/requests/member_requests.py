"""The bodies that share an image, and answer (no. 13 and 15)."""

from __future__ import annotations

from typing import cast, get_args

from douane.api.errors import bad_request, quoted
from douane.catalog.records import MemberStatus

from .bounds import NAME
from .json_body import kind, read_object

_BODY = 4096
_STATUSES = get_args(MemberStatus)


def read_new_member(body: bytes) -> str:
    """The project in ``{"member": project}``. Raises HttpError 400."""
    fields = read_object(body, limit=_BODY)
    if "member" not in fields:
        raise bad_request("The body has no 'member'; the id of a project is expected.")
    return read_member(fields["member"])


def read_member(project: object) -> str:
    """The id of a project, in a body or a path. Raises HttpError 400."""
    if not isinstance(project, str):
        raise bad_request(f"The 'member' must be a string, not {kind(project)}.")
    if not project.strip() or len(project) > NAME or not project.isprintable():
        raise bad_request(f"The 'member' is {quoted(project)}; an id of 1 to {NAME} characters is expected.")
    return project


def read_answer(body: bytes) -> MemberStatus:
    """The status in ``{"status": …}``. Raises HttpError 400."""
    fields = read_object(body, limit=_BODY)
    status = fields.get("status")
    if "status" not in fields or status not in _STATUSES:
        written = quoted(status) if "status" in fields else "missing"
        raise bad_request(f"The 'status' is {written}; it must be one of {', '.join(_STATUSES)}.")
    return cast(MemberStatus, status)
