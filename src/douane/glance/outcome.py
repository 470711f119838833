"""An image whose import ends without success goes back to its tenant: with the reason on it, and ready for another try.

Only the standard library is imported here: this must work when nothing else of Douane does.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("douane")

OUTCOME, CODE, REASON = "douane_outcome", "douane_code", "douane_reason"
OUTCOME_PROPERTIES = (OUTCOME, CODE, REASON)
"""Properties of the image: what became of its last import, a code for programs, a sentence for the tenant. The next
import or upload that is accepted removes them. Glance keeps names that begin with ``os_glance`` for itself."""

PAUSES = (0.1, 0.5, 2.0, 5.0, 10.0)
"""Seconds between two tries to save the image: a database that is restarted is back then."""

_MOST_CHARACTERS = 1000
_NOT_OURS = ("TaskAbortedError", "NotFound", "ImageNotFound")
"""Names of glance.common.exception: another task has the image, or it was deleted."""


@dataclass(frozen=True)
class Reason:
    """Why an image did not get in: ``refused``, ``deferred`` or ``undecided``; a code; a sentence for the tenant."""

    outcome: str
    code: str
    message: str

    def properties(self) -> dict[str, str]:
        """As they are set on the image."""
        return {OUTCOME: self.outcome, CODE: _storable(self.code), REASON: _storable(self.message)}


UNDECIDED = Reason(
    "undecided",
    "engine-failed",
    "The image could not be checked, so it is not let in. That is a fault of this service, not of the image; "
    "nothing of it was kept. Try again later, or ask the operator",
)


@dataclass(frozen=True)
class Before:
    """What of an image was changed by an import that failed later, as it was before."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)
    """None: there was none of this name."""


def give_back(wrapper: Any, reason: Reason, stores: Sequence[str], before: Before, *, queue: bool = True) -> bool:
    """Save `reason`, the failed `stores`, what was `before`, and (with `queue`) the status ``queued``, all at once.

    `wrapper` is Glance's ImportActionWrapper. Where the reason cannot be saved (a quota, a protected property), the
    rest is. False if it could not be saved at all; True also if the image is another task's, or gone. Raises nothing
    that an import could raise.
    """
    for pause in (*PAUSES, None):
        try:
            try:
                _save(wrapper, reason, stores, before, queue=queue)
            except Exception as error:
                if _is_not_ours(error):
                    raise
                log.warning("image %s: the reason cannot be set as properties: %r", wrapper.image_id, error)
                _save(wrapper, None, stores, Before(before.attributes), queue=queue)
            return True
        except Exception as error:  # whatever a database or a policy raises: the image must not stay as it is
            if _is_not_ours(error):
                log.warning("image %s is deleted, or another task's: it is left alone", wrapper.image_id)
                return True
            log.error("image %s cannot be given back yet: %r", wrapper.image_id, error)
            if pause is not None:
                time.sleep(pause)
    log.critical("image %s stays `importing`: its state cannot be saved", wrapper.image_id)
    return False


def _save(wrapper: Any, reason: Reason | None, stores: Sequence[str], before: Before, *, queue: bool) -> None:
    with wrapper as action:
        for name, value in before.properties.items():
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
            return  # "active" in one store already, or `queued` since: both are good ends
        if before.attributes:
            action.set_image_attribute(**before.attributes)
        if queue:
            action.set_image_attribute(status="queued")  # Glance forgets size and virtual_size with that


def drop_lock(wrapper: Any) -> None:
    """Let the next task have the image. Raises nothing."""
    with contextlib.suppress(Exception):  # NotFound: it is dropped
        wrapper.drop_lock_for_task()


def _is_not_ours(error: Exception) -> bool:
    return any(each.__name__ in _NOT_OURS for each in type(error).__mro__)


def _storable(text: str) -> str:
    """Text as every database of Glance takes it: MySQL's utf8mb3 has no character beyond U+FFFF."""
    return "".join(each if each <= "\uffff" and each.isprintable() else "?" for each in text[:_MOST_CHARACTERS])
