"""What an error of the helper means: its code, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable

from douane.errors import StoreError

from .options import RbdOptions
from .process import AWAY, HelperError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EPERM, errno.EACCES, errno.EROFS})


def explain(
    error: HelperError, doing: str, options: RbdOptions, is_full: Callable[[], bool] = lambda: False
) -> StoreError:
    """The StoreError; `doing` completes "cannot ...". `is_full` is asked when a write waited in vain: Ceph lets the
    writes into a pool that is full wait."""
    failure = f"cannot {doing} (pool {options.pool})"
    number = error.number
    if number in _FULL or (number == errno.ETIMEDOUT and is_full()):
        return StoreError(
            f"{failure}: it is full, or over its quota; delete images or make room, then try again", code="store-full"
        )
    if number in AWAY:
        return StoreError(
            f"{failure}: the cluster of {options.ceph_conf} does not answer ({error}); look at `ceph status`",
            code="store-away",
        )
    if number in _DENIED:
        return StoreError(
            f"{failure}: the cluster refuses client.{options.user} ({error}); its key needs the capabilities "
            f"mon 'profile rbd', osd 'profile rbd pool={options.pool}'",
            code="store-unwritable",
        )
    if number == errno.ENOPKG:
        return StoreError(
            f"{failure}: {options.python} has no bindings of Ceph ({error}); install python3-rbd, or name the "
            "interpreter that has them ('python')",
            code="store-unwritable",
        )
    if number == errno.ENOENT:
        return StoreError(f"{failure}: it is not there", code="not-found")
    if number == errno.EEXIST:
        return StoreError(f"{failure}: it exists already, and nothing is ever replaced", code="exists")
    if number == errno.EBUSY:
        return StoreError(f"{failure}: another process has it open ({error})", code="in-use")
    return StoreError(f"{failure}: {error}; look at `ceph status`")


def explain_connection(error: HelperError, options: RbdOptions) -> StoreError:
    """The StoreError of a helper that could not connect."""
    if error.number in (errno.ENOENT, errno.EINVAL):
        keyring = f" or {options.keyring}" if options.keyring else ", or the keyring that it names,"
        return StoreError(
            f"cannot reach the cluster (pool {options.pool}): {options.ceph_conf}{keyring} is not there or cannot be "
            f"read ({error})",
            code="store-unwritable",
        )
    return explain(error, "reach the cluster", options)
