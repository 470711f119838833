"""Who sends a request: nobody is asked (loopback only), or Keystone answers (`keystone.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from douane.api.errors import forbidden, quoted

from .rights import Identity, make_identity

LOCAL_PROJECT = "local"


class Authenticator(Protocol):
    """Says who sends a request."""

    waits: bool
    """True if the answer may come over the network: then it is called in a thread."""

    def identify(self, headers: Mapping[str, str], method: str, path: str) -> Identity:
        """The sender of a request with these headers, whose names are in lower case.

        Raises HttpError 401 or 403, and 503 if that cannot be said now.
        """


class NoAuthentication:
    """Everybody who can connect is an administrator of the project "local"."""

    waits = False

    def __init__(self, *, any_host: bool = False) -> None:
        """`any_host`: the service is reached by other names than those of loopback, because the operator said so."""
        self._any_host = any_host
        self._identity = make_identity("local", LOCAL_PROJECT, ("admin", "member", "reader"))

    def identify(self, headers: Mapping[str, str], method: str, path: str) -> Identity:
        """The administrator, unless a web page of another site makes a browser send the request."""
        host = headers.get("host", "")
        if not self._any_host and not is_loopback_name(host):
            raise forbidden(f"This service answers to the names of loopback only, not to {quoted(host)}.")
        origin = headers.get("origin")
        if is_foreign_origin(origin, host):
            raise forbidden(f"A page of {quoted(origin)} may not use this service.")
        return self._identity


def is_foreign_origin(origin: str | None, host: str) -> bool:
    """True if a browser sends the request for a page of another site than `host`: by the headers Origin and Host."""
    try:
        return origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:
        return True


def is_loopback_name(host: str) -> bool:
    """True if the header Host names this machine. A web page can make a browser call it by another name, which its
    author resolves to 127.0.0.1 ("DNS rebinding")."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
