"""The URL of an image on the web, taken apart and checked: no I/O."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import quote, unquote, urljoin, urlsplit

import msgspec

from douane.errors import SourceError
from douane.imports.settings.structs import WebDownloadSettings

from .addresses import AddressRules, parse_literal

DEFAULT_PORTS = {"https": 443, "http": 80}
DIGESTS = ("sha256", "sha512", "sha384", "sha1", "md5")
MAX_URL = 8192
MAX_SHOWN = 200
"""Characters of a path in messages."""

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)
_FRAGMENT = re.compile(rf"(?P<algorithm>{'|'.join(DIGESTS)})[=:](?P<digits>[0-9a-fA-F]+)", re.ASCII)
_SAFE = "%/:=&?~+!$,;'@()*[]"


class WebUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that passed the rules about schemes, ports and names. Its text is never shown whole: see `shown`."""

    scheme: str
    host: str
    """In lower case, as DNS has it, without a dot at the end; an address of IPv6 has no brackets."""

    port: int
    target: str
    """Path and query, as they are sent."""

    authorization: str | None = None
    """The header for the user and the password in the URL."""

    digest: tuple[str, str] | None = None
    """The expected digest of the image: name and hexadecimal digits."""

    @property
    def netloc(self) -> str:
        """Host and port as the header Host has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """For messages and logs: without user, password and query, any of which may be a secret."""
        return f"{self.scheme}://{self.netloc}{self.target.partition('?')[0]}"[:MAX_SHOWN]

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return self.scheme, self.host, self.port


def refused(subject: str, reason: str) -> SourceError:
    """The error for a URL that the rules refuse. Tempest looks for the words."""
    return SourceError(f"{subject} does not pass filtering: {reason}", code="not-allowed")


def parse_url(text: str, settings: WebDownloadSettings) -> WebUrl:
    """The URL that a tenant sent. Raises SourceError ``not-allowed``."""
    url = _parse(text, settings, with_credentials=settings.credentials)
    fragment = urlsplit(text).fragment
    if not fragment:
        return url
    match = _FRAGMENT.fullmatch(fragment)
    if match is None or len(match["digits"]) != 2 * hashlib.new(match["algorithm"], usedforsecurity=False).digest_size:
        raise refused(
            f"the URL of {url.host}",
            f"behind # is the expected digest of the image, such as #sha256=DIGITS, with one of {', '.join(DIGESTS)}",
        )
    return msgspec.structs.replace(url, digest=(match["algorithm"], match["digits"].lower()))


def parse_redirect(location: str, base: WebUrl, settings: WebDownloadSettings) -> WebUrl:
    """Where a server sends us from `base`. Raises SourceError ``not-allowed``."""
    subject = f"the redirect of {base.host}"
    try:
        text = urljoin(f"{base.scheme}://{base.netloc}{base.target}", location)
    except ValueError:
        raise refused(subject, "it leads to no URL") from None
    url = _parse(text, settings, with_credentials=False, via=base.host)
    if base.scheme == "https" and url.scheme != "https":
        raise refused(subject, f"it leads from https to {url.scheme}, to the host {url.host}")
    authorization = base.authorization if url.origin == base.origin else None
    return msgspec.structs.replace(url, authorization=authorization, digest=base.digest)


def _parse(text: str, settings: WebDownloadSettings, *, with_credentials: bool, via: str | None = None) -> WebUrl:
    subject = "the URL" if via is None else f"the redirect of {via}"
    if len(text) > MAX_URL:
        raise refused(subject, f"it has more than {MAX_URL} characters")
    if any(not letter.isprintable() or letter in " \\" for letter in text):
        raise refused(subject, "it has characters that no URL has")
    try:
        parts = urlsplit(text)
        port, host = parts.port, _host(parts.hostname or "")
    except ValueError:  # UnicodeError from IDNA as well
        raise refused(subject, "it has no host, or a wrong port") from None
    subject = f"the URL of {host}" if via is None else f"the redirect of {via} to {host}"
    if parts.scheme not in settings.schemes:
        raise refused(subject, f"a URL begins with {' or '.join(f'{scheme}://' for scheme in settings.schemes)}")
    if (parts.username is not None or parts.password is not None) and not with_credentials:
        raise refused(subject, "it has a user or a password")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    if port not in settings.ports:
        raise refused(subject, f"its port {port} is not one of {', '.join(map(str, settings.ports))}")
    reason = AddressRules(settings).refuse_name(host, resolved_here=settings.proxy is None)
    if reason is not None:
        raise refused(subject, reason)
    path = quote(parts.path or "/", safe=_SAFE)
    target = f"{path}?{quote(parts.query, safe=_SAFE)}" if parts.query else path
    return WebUrl(scheme=parts.scheme, host=host, port=port, target=target, authorization=_authorization(parts))


def _host(text: str) -> str:
    """Raises ValueError."""
    host = text if text.isascii() else text.encode("idna").decode()
    host = host.lower().removesuffix(".")
    literal = parse_literal(host)
    if literal is not None and "%" not in host:
        return str(literal)
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError(host)
    return host


def _authorization(parts: object) -> str | None:
    user, password = getattr(parts, "username", None), getattr(parts, "password", None)
    if user is None and password is None:
        return None
    pair = f"{unquote(user or '')}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
