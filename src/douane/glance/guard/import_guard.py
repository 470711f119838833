"""Refuse an import if Glance would not run our plugin for it."""

from __future__ import annotations

import io
import json
import logging
import threading
from typing import Any

from douane.glance import internals
from douane.glance.recovery import imports as recovery
from douane.glance.upload.api_client import App, Response, call
from douane.glance.upload.http_errors import HttpError, bad_request
from douane.glance.upload.routes import Route
from douane.glance.upload.wsgi_input import BadLength, announced_length, is_chunked, open_input

from .unchecked import PENDING_IMPORTS, PendingImports

log = logging.getLogger("douane")

GROUP = "glance.image_import.plugins"
"""Entry points of Glance's import plugins."""
NAME = "douane"
"""Our plugin's name in ``image_import_plugins``."""
COPY = "copy-image"
"""The method that brings no new bytes in; Glance runs no plugins for it."""

_GET_FLOW = ("douane.glance.import_plugin", "get_flow")
_MAX_BYTES = 1 << 16
_PIECE_BYTES = 1 << 14

NOT_GUARDED = HttpError(
    "503 Service Unavailable",
    code="import-not-guarded",
    message="Imports are closed here until the operator has made sure that imported images are checked. Nothing was "
    "imported, and the staged data is kept. Tell the operator",
)


def plugin_problem() -> str | None:
    """Why Glance would not run our plugin in this process, with the remedy, for the operator; None if it will.

    Glance's configuration must have been read (``oslo_config.cfg.CONF``). Raises nothing.
    """
    try:
        names = internals.import_plugin_names()
        if NAME not in names:
            current = ",".join(names) or "nothing"
            new_value = ",".join([NAME, *(name for name in names if name != "no_op")])
            return (
                f"image_import_plugins names {current}, and not {NAME}: write `image_import_plugins = [{new_value}]` "
                "below [image_import_opts] in glance-image-import.conf or glance-api.conf, and restart Glance"
            )
        return _load_problem()
    except Exception as error:  # of a Glance that is different inside: then nobody knows, and no import is let through
        return f"it cannot be determined whether Glance runs the import plugin: {error!r}"


class ImportGuard:
    """Handles ``POST /v2/images/{image}/import``."""

    def __init__(self, pending_imports: PendingImports = PENDING_IMPORTS) -> None:
        self._pending_imports = pending_imports

    def check_pending_imports(self) -> None:
        """Flag images that got in unchecked. Raises nothing."""
        self._pending_imports.check()

    def handle(self, app: App, environ: dict[str, Any], route: Route) -> Response:
        """Glance's response, or the refusal. Raises what Glance raises."""
        try:
            body = _read_body(environ)
        except BadLength as error:
            return bad_request(str(error)).response()
        environ = _environ_with(environ, body)
        method = _import_method(body)
        if method == COPY:
            return call(app, environ)
        problem = plugin_problem()
        if problem is not None:
            log.critical("image %.80r is not imported, nor is any other: %s", route.image, problem)
            return NOT_GUARDED.response()
        if method == "glance-direct" and not _is_staged_here(route.image):
            return call(app, environ)  # Glance sends it on to another host, which calls its own plugin
        recovery.recover()  # Glance would answer 409 for an image whose import was killed
        entry = recovery.record_request(route.image, internals.request_id(environ))
        pending = self._pending_imports.add(route.image, entry)
        try:
            response = call(app, environ)
        except Exception:  # after SystemExit, for example, Glance may have begun it: the entry is of use then
            self._pending_imports.remove(pending)
            raise
        if response.is_success:
            self._pending_imports.start(pending)
        else:
            self._pending_imports.remove(pending)
        return response


_has_loaded = threading.Event()
"""Set when the plugin has been loaded: stevedore, by which Glance loads it, then finds the same in this process."""


def _load_problem() -> str | None:
    if _has_loaded.is_set():
        return None
    from stevedore import named

    errors: list[str] = []
    manager: named.NamedExtensionManager[Any] = named.NamedExtensionManager(
        GROUP,
        names=[NAME],
        invoke_on_load=False,
        on_load_failure_callback=lambda _manager, _entry, error: errors.append(repr(error)),
        warn_on_missing_entrypoint=False,
    )
    loaded = [(extension.plugin.__module__, extension.plugin.__name__) for extension in manager.extensions]
    if loaded == [_GET_FLOW]:
        from douane.glance.staged import task  # get_flow imports it; it needs taskflow

        assert task is not None
        _has_loaded.set()
        return None
    if errors:
        problem = f"it cannot be loaded: {errors[0]}"
    elif loaded:
        problem = "its entry point is another package's, or exists twice"
    else:
        problem = "its entry point does not exist"
    return (
        f"the import plugin {NAME} is configured, but {problem}. Install douane (again) into the environment of "
        "Glance, and restart it"
    )


def _is_staged_here(image: str) -> bool:
    try:
        return not internals.is_staged_elsewhere(image)
    except ImportError:
        return True  # outside of Glance
    except Exception as error:  # NotFound, or of the database: Glance itself reports it, and does not import
        log.debug("image %.80r: it cannot be determined where it is staged: %r", image, error)
        return False


def _read_body(environ: dict[str, Any]) -> bytes:
    """The whole body, some words of JSON. Raises BadLength if it is too long for that, or incomplete."""
    length = None if is_chunked(environ) else announced_length(environ)
    limit = _MAX_BYTES + 1 if length is None else length
    if limit > _MAX_BYTES + 1:
        raise BadLength(f"the request for an import has at most {_MAX_BYTES} bytes, not {limit}")
    body, source = bytearray(), open_input(environ)
    while len(body) < limit and (piece := source.read(min(_PIECE_BYTES, limit - len(body)))):
        body += piece
    if len(body) > _MAX_BYTES:
        raise BadLength(f"the request for an import has at most {_MAX_BYTES} bytes, not more")
    if length is not None and len(body) < length:
        raise BadLength(f"the body ended after {len(body)} of {length} announced bytes")
    return bytes(body)


def _import_method(body: bytes) -> str | None:
    """The name of the import method, as Glance reads it; None if there is none, which Glance reports itself."""
    try:
        method = json.loads(body.decode())["method"]["name"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return method if isinstance(method, str) else None


def _environ_with(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    changed = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    changed.pop("HTTP_TRANSFER_ENCODING", None)  # the body is no longer chunked; Glance would ask uWSGI for its chunks
    return changed
