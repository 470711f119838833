"""The end of an import without success: the image is queued again, with the reason on it, for another try.

Only the standard library is imported: this must work even if nothing else of Douane does.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("douane")

OUTCOME, CODE, REASON = "douane_outcome", "douane_code", "douane_reason"
OUTCOME_PROPERTIES = (OUTCOME, CODE, REASON)
"""Properties of the image: the outcome of its last import, a code for programs, a sentence for the tenant. The next
import or upload that is accepted removes them. (Glance keeps names that begin with ``os_glance`` for itself.)"""
PROOF = "douane_proof"
"""Property of an accepted image: the proof of what Douane wrote (``proof/``)."""

PAUSES = (0.1, 0.5, 2.0, 5.0, 10.0)
"""Seconds between two tries to save the image: a database that is restarted is back by then."""

_MAX_CHARACTERS = 1000
_NOT_STORABLE = re.compile(r"[\0\ud800-\udfff\U00010000-\U0010ffff]")
_NOT_OURS = ("TaskAbortedError", "NotFound", "ImageNotFound")
"""Names of exceptions of glance.common.exception: another task has the image, or the image was deleted."""


def storable(text: str) -> str:
    """`text` as every database of Glance takes it, with ``?`` for the characters that one of them refuses.

    MySQL's utf8mb3 has no character beyond U+FFFF, PostgreSQL no NUL, and no encoding has half a surrogate pair.
    """
    return _NOT_STORABLE.sub("?", text)


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in storable(text[:_MAX_CHARACTERS]))


@dataclass(frozen=True)
class Reason:
    """Why an image was not let in: ``refused``, ``deferred`` or ``undecided``, a code, a sentence for the tenant.

    Code and sentence may be a plugin's. They are cleaned here, before they become properties of the image, the message
    of a task or the body of a response: a task whose message the database refuses stays ``processing`` for good.
    """

    outcome: str
    code: str
    message: str
    retry_after: float | None = None
    """Seconds after which another try may succeed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _line(self.code))
        object.__setattr__(self, "message", _line(self.message))

    def properties(self) -> dict[str, str]:
        """The reason as properties of the image."""
        return {OUTCOME: self.outcome, CODE: self.code, REASON: self.message}


UNDECIDED = Reason(
    "undecided",
    "engine-failed",
    "The image could not be checked, so it is not let in. That is a fault of this service, not of the image; "
    "nothing of it was kept. Try again later, or ask the operator",
)


@dataclass(frozen=True)
class Undo:
    """Values to restore on the image if an import fails after it has set others."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)
    """None: remove the property."""


def requeue(wrapper: Any, reason: Reason, stores: Sequence[str], undo: Undo, *, set_status: bool = True) -> bool:
    """Save `reason`, the failed `stores`, the values of `undo` and the status ``queued`` in one step.

    `wrapper` is Glance's ImportActionWrapper. Without `set_status` the status stays, for Glance to set. If properties
    cannot be saved (a quota, a protected property), the rest is. Return False if nothing could be saved, and True also
    if the image was deleted or belongs to another task. Raises nothing that an import could raise.
    """
    for pause in (*PAUSES, None):
        try:
            _save_what_fits(wrapper, reason, stores, undo, set_status=set_status)
            return True
        except Exception as error:  # whatever a database or a policy raises: the image must not stay `importing`
            if is_not_ours(error):
                log.warning("image %s was deleted, or belongs to another task: it is left alone", wrapper.image_id)
                return True
            log.error("image %s cannot be queued again yet: %r", wrapper.image_id, error)
            if pause is not None:
                time.sleep(pause)
    log.critical("image %s stays `importing`: its state cannot be saved", wrapper.image_id)
    return False


def _save_what_fits(wrapper: Any, reason: Reason, stores: Sequence[str], undo: Undo, *, set_status: bool) -> None:
    """Save all; or without the properties to restore; or without the reason, too."""
    attributes = Undo(undo.attributes)
    for with_reason, values in ((reason, undo), (reason, attributes)):
        try:
            _save(wrapper, with_reason, stores, values, set_status=set_status)
            return
        except Exception as error:  # of Glance's quotas, property protections, database: the last try tells
            if is_not_ours(error):
                raise
            log.warning("image %s: its properties cannot be set: %r", wrapper.image_id, error)
    _save(wrapper, None, stores, attributes, set_status=set_status)


def _save(wrapper: Any, reason: Reason | None, stores: Sequence[str], undo: Undo, *, set_status: bool) -> None:
    with wrapper as action:
        for name, value in undo.properties.items():
            if value is None:
                action.pop_extra_property(name)
            else:
                action.set_image_extra_properties({name: value})
        if reason is not None:
            action.set_image_extra_properties(reason.properties())
        if stores:
            action.remove_importing_stores(stores)
            action.add_failed_stores(stores)
        if action.image_status != "importing":
            return  # `active` in one store already, or `queued` since: both are good ends
        if undo.attributes:
            action.set_image_attribute(**undo.attributes)
        if set_status:
            action.set_image_attribute(status="queued")  # with that, Glance also forgets size and virtual_size


def drop_lock(wrapper: Any) -> None:
    """Let the next task have the image. Raises nothing."""
    with contextlib.suppress(Exception):  # NotFound if the lock was dropped; of anything else, the next task learns
        wrapper.drop_lock_for_task()


def is_not_ours(error: Exception) -> bool:
    """True if `error` says that the image was deleted, or belongs to another task."""
    return any(base.__name__ in _NOT_OURS for base in type(error).__mro__)
