"""An import for which Glance would not run our plugin is not begun: Glance goes on without a plugin that is missing."""

from __future__ import annotations

import io
import json
import logging
import threading
from typing import Any

from douane.glance import plugin_calls as ran
from douane.glance.upload.api_client import Answer, App, call
from douane.glance.upload.http_errors import Refusal
from douane.glance.upload.routes import Door
from douane.glance.upload.wsgi_input import BadLength, input_of, is_chunked, length_of

from .watcher import Watcher

log = logging.getLogger("douane")

GROUP = "glance.image_import.plugins"
"""Entry points of Glance's import plugins."""
NAME = "douane"
"""Ours, as ``image_import_plugins`` names it."""
COPY = "copy-image"
"""The method by which no new bytes enter; Glance runs no plugins for it."""

_MOST_BYTES = 1 << 16
_PIECE_BYTES = 1 << 14

NOT_GUARDED = Refusal(
    "503 Service Unavailable",
    code="import-not-guarded",
    message="Imports are closed here until the operator has made sure that imported images are checked. Nothing was "
    "imported, and what is staged is kept. Tell the operator",
)


def why_not_run() -> str | None:
    """What is wrong and what to do, for the operator, if Glance would not run our plugin in this process; None if it
    will. Glance's configuration must have been read (``oslo_config.cfg.CONF``). Raises nothing."""
    try:
        names = _configured()
        if NAME not in names:
            told = ",".join(names) or "nothing"
            return (
                f"image_import_plugins names {told}, and not {NAME}: write "
                f"`image_import_plugins = [{','.join([NAME, *(each for each in names if each != 'no_op')])}]` below "
                "[image_import_opts] in glance-image-import.conf or glance-api.conf, and restart Glance"
            )
        return _why_not_loaded()
    except Exception as error:  # a Glance that is another inside: then nobody knows, and nothing is let through
        return f"it cannot be told whether Glance runs the import plugin: {error!r}"


class ImportGuard:
    """Stands before ``POST /v2/images/{image}/import``."""

    def __init__(self, watcher: Watcher | None = None) -> None:
        self._watcher = watcher if watcher is not None else Watcher()

    def answer(self, app: App, environ: dict[str, Any], at: Door) -> Answer:
        """Glance's answer, or the refusal. Raises what Glance raises."""
        try:
            body = _body_of(environ)
        except BadLength as error:
            return _answer(Refusal("400 Bad Request", code="wrong-request", message=str(error)))
        method = _method_of(body)
        if method != COPY and (why := why_not_run()) is not None:
            log.critical("image %.80r is not imported, nor is any other: %s", at.image, why)
            return _answer(NOT_GUARDED)
        calls = ran.number()
        watched = method != COPY and self._watcher.wants(at, method)
        answer = call(app, _environ_with(environ, body))
        if watched and 200 <= answer.code < 300:
            self._watcher.watch(app, environ, at, calls)
        return answer


_loaded = threading.Event()
"""Set when it has been: stevedore, by which Glance loads plugins, finds the same in a process again and again."""


def _configured() -> list[str]:
    from glance.async_.flows import api_image_import  # it registers the option
    from oslo_config import cfg

    assert api_image_import is not None
    return list(cfg.CONF.image_import_opts.image_import_plugins)


def _why_not_loaded() -> str | None:
    if _loaded.is_set():
        return None
    from stevedore import named

    from douane.glance.import_plugin import get_flow

    wrong: list[str] = []
    found = named.NamedExtensionManager(
        GROUP,
        names=[NAME],
        invoke_on_load=False,
        on_load_failure_callback=lambda _manager, _entry, error: wrong.append(repr(error)),
        warn_on_missing_entrypoint=False,
    )
    plugins = [each.plugin for each in found.extensions]
    if plugins == [get_flow]:
        from douane.glance.staged import task as import_task  # what get_flow needs: taskflow

        assert import_task is not None
        _loaded.set()
        return None
    if wrong:
        what = f"it cannot be loaded: {wrong[0]}"
    elif plugins:
        what = "the entry point of this name is another's, or is there twice"
    else:
        what = "its entry point is not there"
    return (
        f"the import plugin {NAME} is configured, but {what}. Install douane (again) into the environment of Glance, "
        "and restart it"
    )


def _body_of(environ: dict[str, Any]) -> bytes:
    """All of the body: some words of JSON. Raises BadLength if it is longer than any of these, or is not whole."""
    length = None if is_chunked(environ) else length_of(environ)
    wanted = _MOST_BYTES + 1 if length is None else length
    if wanted > _MOST_BYTES + 1:
        raise BadLength(f"an import is asked for in at most {_MOST_BYTES} bytes, not in {wanted}")
    body, source = bytearray(), input_of(environ)
    while len(body) < wanted and (piece := source.read(min(_PIECE_BYTES, wanted - len(body)))):
        body += piece
    if len(body) > _MOST_BYTES:
        raise BadLength(f"an import is asked for in at most {_MOST_BYTES} bytes, not in more")
    if length is not None and len(body) < length:
        raise BadLength(f"the body ended after {len(body)} of {length} announced bytes")
    return bytes(body)


def _method_of(body: bytes) -> str | None:
    """The name of the import method, as Glance finds it; None if it finds none, and says so itself."""
    try:
        method = json.loads(body.decode())["method"]["name"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return method if isinstance(method, str) else None


def _environ_with(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    changed = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    changed.pop("HTTP_TRANSFER_ENCODING", None)  # it is whole now; Glance would ask uWSGI for its chunks
    return changed


def _answer(refused: Refusal) -> Answer:
    return Answer(refused.status, refused.headers(), refused.body())
