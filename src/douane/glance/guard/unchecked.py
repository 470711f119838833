"""Detect imports that Glance ran without our plugin, and flag them: in the log, and on the image.

Glance runs an import in the process that received the request for it, so this process knows whether the plugin was
called for it: as a rule it was, within milliseconds. Later requests to this process check the imports without a call,
less and less often. The record is in memory only: a Glance that is restarted meanwhile does not notice.

Only the standard library is imported, as by the import plugin: Glance must be able to load it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from douane.glance import internals
from douane.glance.outcome import Reason
from douane.glance.recovery import journal

log = logging.getLogger("douane")

UNCHECKED = Reason(
    "unchecked",
    code="import-not-checked",
    message="This image was imported without being checked. Do not use it; tell the operator",
)

_MAX_IMPORTS = 256
_MAX_CHECKS = 4
"""Images that one request checks at most: the request waits for it."""
_LONGEST_PAUSE = 60.0


@dataclass(eq=False)
class _PendingImport:
    image: str
    pause: float
    """Seconds between two checks; doubled after each."""
    due: float
    """When to check next (`time.monotonic`); infinite until Glance has begun the import."""
    entry: journal.Entry | None = None
    """In the journal, until the plugin records the import itself: a kill -9 in between is noticed."""
    is_reported: bool = False


class PendingImports:
    """The imports that Glance has begun in this process, and has not called the plugin for."""

    def __init__(self, *, max_imports: int = _MAX_IMPORTS, first_pause: float = 1.0) -> None:
        """`first_pause`: seconds between a request for an import and its first check. Of more than `max_imports` the
        oldest are dropped."""
        self._max_imports = max_imports
        self._first_pause = first_pause
        self._lock = threading.Lock()
        self._imports: list[_PendingImport] = []

    def __len__(self) -> int:
        return len(self._imports)

    def add(self, image: str, entry: journal.Entry | None = None) -> _PendingImport:
        """Add an import before Glance is asked for it; then call `start` or `remove`. `entry` is closed when the import
        is no longer pending."""
        pending = _PendingImport(image, self._first_pause, math.inf, entry)
        with self._lock:
            self._imports.append(pending)
            dropped = [self._imports.pop(0) for _ in range(len(self._imports) - self._max_imports)]
        for old in dropped:
            log.warning("image %.80r: there are too many imports to check whether this image is inspected", old.image)
            _close(old)
        return pending

    def start(self, pending: _PendingImport) -> None:
        """Glance has begun the import."""
        pending.due = time.monotonic() + pending.pause

    def remove(self, pending: _PendingImport) -> None:
        """Glance has not begun the import, or it has ended."""
        self._keep(lambda candidate: candidate is not pending)

    def plugin_called(self, image: str) -> None:
        """Glance has called the plugin for `image`, and the plugin has recorded the import."""
        self._keep(lambda pending: pending.image != image)

    def check(self) -> None:
        """Check the imports that are due: flag an image that is in, and drop one that cannot get in. Raises nothing."""
        if not self._imports:
            return  # nearly always, and at every request
        now = time.monotonic()
        with self._lock:
            due = [pending for pending in self._imports if pending.due <= now][:_MAX_CHECKS]
            for pending in due:
                pending.pause = min(pending.pause * 2, _LONGEST_PAUSE)
                pending.due = now + pending.pause
        for pending in due:
            try:
                self._check(pending)
            except Exception as error:  # whatever Glance or its database raises: the next check may succeed
                log.warning("image %.80r: whether it was inspected cannot be checked: %r", pending.image, error)

    def _check(self, pending: _PendingImport) -> None:
        repo = internals.image_repo()
        image = internals.find_image(repo, pending.image)
        is_locked = image is not None and bool(image.extra_properties.get(internals.LOCK))
        if image is None or (image.status in ("queued", "uploading") and not is_locked):
            self.remove(pending)  # it was deleted, or the import has failed
        elif image.status in ("active", "deactivated") and pending in self._imports:
            # Glance calls the plugin before the image becomes `importing`: by now, or never.
            if not pending.is_reported:
                _report(pending.image)
                pending.is_reported, pending.pause = True, self._first_pause
                self.start(pending)  # the lock is released soon
            if not is_locked:  # before that, Glance's task may save its own copy of the image over the flag
                self.remove(pending)
                _flag(repo, image)

    def _keep(self, condition: Callable[[_PendingImport], bool]) -> None:
        with self._lock:
            ended = [pending for pending in self._imports if not condition(pending)]
            self._imports = [pending for pending in self._imports if condition(pending)]
        for pending in ended:
            _close(pending)


PENDING_IMPORTS = PendingImports()
"""The pending imports of this process."""


def _close(pending: _PendingImport) -> None:
    if pending.entry is not None:
        pending.entry.close()


def _report(image: str) -> None:
    log.critical(
        "image %.80r was IMPORTED WITHOUT BEING CHECKED: Glance did not run the import plugin of Douane. Examine the "
        "image and its users; `douane glance doctor` shows what is wrong",
        image,
    )


def _flag(repo: Any, image: Any) -> None:
    try:
        image.extra_properties.update(UNCHECKED.properties())
        repo.save(image)
    except Exception as error:  # of a quota, a protected property: the operator knows, and the tenant does not
        log.error("image %s: the properties that flag it as unchecked cannot be set: %r", image.image_id, error)
