"""The session of a person: with Keystone, a token in a cookie that only ``/ui`` gets and no script can read.

The cookie has no effect on the API, so that another site's page can make a browser do nothing with it;
``SameSite=Strict`` keeps it from requests of other sites, and the pages of ``/ui`` change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from douane.api.errors import bad_request, forbidden, quoted
from douane.api.identity.auth import is_foreign_origin

COOKIE = "douane_token"
LOGIN_BYTES = 8192
"""Of the form: a token has at most some thousand characters."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,3500}", re.ASCII)


def token_of(cookie_header: str | None) -> str | None:
    """The token in the header Cookie; None if there is none."""
    if not cookie_header:
        return None
    try:
        morsel = SimpleCookie(cookie_header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and _TOKEN.fullmatch(morsel.value) else None


def session_cookie(token: str, *, secure: bool) -> str:
    """The header Set-Cookie that begins a session; it ends with the browser, or when the token expires."""
    return f"{COOKIE}={token}; Path=/ui; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


def ended_cookie() -> str:
    """The header Set-Cookie that ends the session."""
    return f"{COOKIE}=; Path=/ui; HttpOnly; SameSite=Strict; Max-Age=0"


def read_login(body: bytes) -> str:
    """The token in the login form. Raises HttpError 400."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=4, errors="strict")
    except ValueError:
        raise bad_request("The form cannot be read.") from None
    token = fields.get("token", [""])[0].strip()
    if not _TOKEN.fullmatch(token):
        raise bad_request("That is no token. `openstack token issue -f value -c id` prints one.")
    return token


def require_own_origin(headers: Mapping[str, str]) -> None:
    """Raise HttpError 403 for a form that a page of another site sends; `headers` have names in lower case.

    Browsers send Origin with every POST, and Sec-Fetch-Site as well.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    if is_foreign_origin(origin, headers.get("host", "")) or site not in ("same-origin", "none"):
        raise forbidden(f"The form was sent by another site, {quoted(origin or 'unknown')}.")
