"""The URL of the service in front of ``/v2``, for the list of versions (no. 1)."""

from __future__ import annotations

import re

from douane.api.errors import bad_request, quoted
from douane.api.requests.bounds import NAME

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


def base_url(
    public_endpoint: str | None,
    *,
    scheme: str,
    host: str | None,
    forwarded_proto: str | None = None,
    forwarded_host: str | None = None,
) -> str:
    """`public_endpoint` if the operator set it, or else what the request says; without a slash at the end.

    The caller passes forwarded headers only from a proxy that the operator trusts. Raises HttpError 400 for a host that
    is none: what is sent there comes back in the answer.
    """
    if public_endpoint:
        return public_endpoint.rstrip("/")
    # A chain of proxies makes a list; the first is the client's side.
    proto = (forwarded_proto or "").partition(",")[0].strip().lower() or scheme
    name = (forwarded_host or "").partition(",")[0].strip() or (host or "").strip()
    if proto not in ("http", "https"):
        raise bad_request(f"The header X-Forwarded-Proto is {quoted(proto)}; http or https is expected.")
    if len(name) > NAME or not _HOST.fullmatch(name):
        raise bad_request(f"The header Host is {quoted(name)}; the name or address of this service is expected.")
    return f"{proto}://{name}"
