"""Keystone says who sends a request, through keystonemiddleware, which is called here as a function.

keystonemiddleware is written for WSGI. It gets an environment with the headers of the request, and an application that
keeps what it was called with: the headers that the middleware has set. Answers are cached in this process: the
middleware's own cache in memory has no bound, and one for each thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from douane.api.errors import RETRY_AFTER, HttpError, unauthenticated
from douane.errors import PlanError
from douane.imports.settings import KeystoneSettings

from .rights import Identity, make_identity

log = logging.getLogger("douane.api")

_SERVICE = "service"
_CALLED = "douane.called"
_CACHE = "douane.cache"
CACHED_TOKENS = 10_000

# It warns of every option that is one of its auth plugin, which reads them nevertheless.
logging.getLogger("keystonemiddleware._common.config").setLevel(logging.ERROR)


class TokenCache:
    """What Keystone said about tokens, by their hashes: as much of a memcached client as the middleware uses."""

    def __init__(self, limit: int = CACHED_TOKENS) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[Any, tuple[float, Any]] = OrderedDict()

    def get(self, key: Any) -> Any:
        """The value, or None if there is none that counts any more."""
        with self._lock:
            end, value = self._entries.get(key, (0.0, None))
            return value if time.monotonic() < end else None

    def set(self, key: Any, value: Any, time: float = 0) -> None:  # the name is memcached's
        """Keep the value for `time` seconds; the oldest is forgotten if there are too many."""
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = (_now() + time, value)
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)


def _now() -> float:
    return time.monotonic()


class KeystoneAuthentication:
    """The identity of a token, and the role `service` of a service token. Safe for threads."""

    waits = True

    def __init__(self, settings: KeystoneSettings) -> None:
        """Keystone is asked at the first request. Raises PlanError: the extra, or the password, is missing."""
        try:
            from keystonemiddleware.auth_token import AuthProtocol
            from oslo_config import cfg
        except ImportError as error:
            raise PlanError(
                f"[serve.keystone] needs {error.name}, which this installation does not have: "
                "run `pip install '.[serve,keystone]'` in a checkout of Douane"
            ) from error
        config = cfg.ConfigOpts()
        config([], project="douane", default_config_files=[], default_config_dirs=[])
        self._cache = TokenCache()
        self._uri = settings.www_authenticate_uri or settings.auth_url
        self._protocol = AuthProtocol(_remember, {"oslo_config_config": config, **_options(settings)})

    def identify(self, headers: Mapping[str, str], method: str, path: str) -> Identity:
        """The identity of the token. Raises HttpError 401, and 503 if Keystone cannot be asked."""
        if not headers.get("x-auth-token"):
            raise unauthenticated(self._uri)
        environ = {**_environ(headers, method, path), _CACHE: self._cache}
        status = 0

        def start(line: str, _headers: Any, _error: Any = None) -> Callable[[bytes], None]:
            nonlocal status
            status = int(line.split(maxsplit=1)[0])
            return lambda _data: None

        try:
            self._protocol(environ, start)
        except Exception as error:  # of Keystone's client: it has dozens, for a Keystone that answers with nonsense
            log.error("Keystone cannot be asked: %s: %s", type(error).__name__, error)
            status = 503
        if status == 401:
            raise unauthenticated(self._uri)
        if status != 200 or not environ.get(_CALLED):
            raise HttpError(
                503,
                "The identity service cannot be asked at the moment; repeat the request later.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        return _identity(environ)


def _environ(headers: Mapping[str, str], method: str, path: str) -> dict[str, Any]:
    sent = {f"HTTP_{name.upper().replace('-', '_')}": headers[name] for name in _TOKENS if name in headers}
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "SERVER_NAME": "douane",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        **sent,
    }


_TOKENS = ("x-auth-token", "x-service-token")
"""The only headers that the middleware sees, so that no other can be taken for one that it has set."""


def _remember(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    environ[_CALLED] = True
    start("200 OK", [])
    return []


def _identity(environ: Mapping[str, Any]) -> Identity:
    roles = str(environ.get("HTTP_X_ROLES") or "").split(",")
    service_roles = str(environ.get("HTTP_X_SERVICE_ROLES") or "").split(",")
    # The rule `service_api` of Glance: the role in the token itself, or in the service token beside it.
    if any(role.strip().lower() == _SERVICE for role in service_roles):
        roles.append(_SERVICE)
    return make_identity(environ.get("HTTP_X_USER_ID"), environ.get("HTTP_X_PROJECT_ID"), roles)


def _options(settings: KeystoneSettings) -> dict[str, str]:
    """The options of keystonemiddleware, which are text."""
    options = {
        "auth_type": "password",
        "auth_url": settings.auth_url,
        "username": settings.username,
        "password": settings.password(),
        "project_name": settings.project,
        "user_domain_name": settings.user_domain,
        "project_domain_name": settings.project_domain,
        "region_name": settings.region,
        "www_authenticate_uri": settings.www_authenticate_uri or settings.auth_url,
        "cafile": settings.ca_file,
        "http_connect_timeout": str(max(1, round(settings.timeout))),
        "cache": _CACHE,
        "token_cache_time": str(round(settings.cache)),
        "service_token_roles": _SERVICE,
        "service_token_roles_required": "true",
        # With it, application credentials that may do some calls only are held to them.
        "service_type": "image",
        "include_service_catalog": "false",
    }
    return {name: str(value) for name, value in options.items() if value is not None}
