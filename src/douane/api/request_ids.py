"""Request ids: ours is made for each request; that of the client, if it is well formed, is logged beside it."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

from .errors import HttpError
from .requests.bounds import REQUEST_ID

HEADER = "X-Openstack-Request-Id"
_GLOBAL = re.compile(r"req-[0-9A-Za-z-]{1,60}")


def make_request_id(random: UUID | None = None) -> str:
    """The id of a new request: ``req-<uuid>``."""
    return f"req-{random or uuid4()}"


def read_global_id(value: str | None) -> str | None:
    """The client's own id of the request, or None: ids of another form are ignored, as oslo.middleware does.

    glanceclient sends the id of its last answer. Raises HttpError 431 if it is longer than Glance allows.
    """
    if value is None:
        return None
    if len(value) > REQUEST_ID:
        raise HttpError(431, f"The header {HEADER} has more than {REQUEST_ID} characters.")
    return value if _GLOBAL.fullmatch(value) else None
