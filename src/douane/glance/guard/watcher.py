"""An import that our plugin was not called for is noticed, and made visible: to the operator, and on the image.

Glance runs an import in the process that was asked for it; so there it is known whether our plugin was called. As a
rule it was, within milliseconds, and Glance is asked nothing. What is watched is not kept: not beyond a restart.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from douane.glance import plugin_calls as ran
from douane.glance.image_metadata import set_properties
from douane.glance.outcome import Reason
from douane.glance.upload.api_client import App, ask
from douane.glance.upload.routes import Door

log = logging.getLogger("douane")

UNCHECKED = Reason(
    "unchecked",
    code="import-not-checked",
    message="This image was imported without being checked. Do not use it; tell the operator",
)

_LOCK = "os_glance_import_task"
_MOST = 256
_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 60.0
_GIVEN_UP_SECONDS = 24 * 3600.0


@dataclass
class _Watched:
    app: App
    environ: dict[str, Any]
    at: Door
    calls: int
    """Number of the last call of the plugin before this import."""
    since: float = field(default_factory=time.monotonic)
    pause: float = _FIRST_SECONDS
    next: float = 0.0


class Watcher:
    """Looks after imports that were begun, in one thread; `most` at a time. `first` and `longest` are the seconds
    between two looks at an image, which get more and more."""

    def __init__(self, most: int = _MOST, first: float = _FIRST_SECONDS, longest: float = _LONGEST_SECONDS) -> None:
        self._most, self._first, self._longest = most, first, longest
        self._watched: list[_Watched] = []
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def wants(self, at: Door, method: str | None) -> bool:
        """False for an import that Glance would hand on to another host, where the image is staged; there it is
        watched. To be asked before it is begun. Raises nothing."""
        if method != "glance-direct":
            return True
        try:
            return not _is_of_another_host(at.image)
        except Exception as error:  # Glance itself will say what is wrong, or not begin it
            log.debug("image %.80r: it cannot be told where it is staged: %r", at.image, error)
            return False

    def watch(self, app: App, environ: dict[str, Any], at: Door, calls: int) -> None:
        """Glance has begun to import the image, asked by `environ`; `calls` is :func:`ran.number` from before it.
        Raises nothing."""
        try:
            watched = _Watched(app, dict(environ), at, calls, pause=self._first)
            watched.next = watched.since + self._first
            with self._change:
                self._watched.append(watched)
                if len(self._watched) > self._most:
                    left = self._watched.pop(0)
                    log.warning("image %.80r: too many are imported at a time to watch this one", left.at.image)
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="douane-imports", daemon=True)
                    self._thread.start()
                self._change.notify()
        except Exception:
            log.exception("image %.80r: its import is not watched", at.image)

    def _run(self) -> None:
        while True:
            with self._change:
                self._watched = [each for each in self._watched if not ran.since(each.calls, each.at.image)]
                if not self._watched:
                    self._thread = None
                    return
                watched = min(self._watched, key=lambda each: each.next)
                wait = watched.next - time.monotonic()
                if wait > 0:
                    self._change.wait(wait)
                    continue
            try:
                is_over = _look(watched)
            except Exception as error:
                log.warning("image %.80r, whose import is watched, cannot be looked at: %r", watched.at.image, error)
                is_over = False
            now = time.monotonic()
            watched.pause = min(watched.pause * 2, self._longest)
            watched.next = now + watched.pause
            if is_over or now - watched.since > _GIVEN_UP_SECONDS:
                with self._change:
                    self._watched = [each for each in self._watched if each is not watched]


def _look(watched: _Watched) -> bool:
    """True if the import has come to an end. Raises what Glance raises."""
    answer = ask(watched.app, watched.environ, "GET", watched.at.path)
    if answer.code in (404, 410):
        return True
    if answer.code != 200:
        return False
    image = json.loads(answer.body)
    # Asked after Glance was: the plugin is called before an image becomes `importing`, and so before it is `active`.
    if ran.since(watched.calls, watched.at.image):
        return True
    if image.get("status") == "active":
        _tell(watched)
        return True
    return image.get("status") in ("queued", "uploading") and not image.get(_LOCK)


def _tell(watched: _Watched) -> None:
    log.critical(
        "image %.80r was IMPORTED WITHOUT BEING CHECKED: Glance did not run the import plugin of Douane. Look at the "
        "image and at whoever has used it; `douane glance doctor` tells what is wrong",
        watched.at.image,
    )
    try:
        wrong = set_properties(
            watched.app, watched.environ, watched.at, UNCHECKED.properties(), is_stale=lambda name: False
        )
    except Exception as error:  # the operator knows; it is the tenant who does not
        wrong = repr(error)
    if wrong is not None:
        log.error("image %.80r: that it was not checked cannot be set on it: %s", watched.at.image, wrong)


def _is_of_another_host(image: str) -> bool:
    """As ``ImagesController.is_proxyable`` of Glance finds it; its API does not show this property. Raises."""
    try:
        from glance import context, gateway
    except ImportError:
        return False  # not in a Glance
    from oslo_config import cfg

    found = gateway.Gateway().get_repo(context.get_admin_context()).get(image)
    host = found.extra_properties.get("os_glance_stage_host")
    return bool(host) and host != (cfg.CONF.worker_self_reference_url or cfg.CONF.public_endpoint)
