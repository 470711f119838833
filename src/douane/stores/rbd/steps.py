"""The steps that make an image visible, and those that delete one: each may be repeated after a crash behind any."""

from __future__ import annotations

import errno
from typing import Any, Protocol

from douane.errors import StoreError

from .options import RbdOptions
from .process import HelperError

SNAP = "snap"
"""The name of the snapshot that Glance's driver makes, and that Nova and Cinder clone."""


class Commands(Protocol):
    """What sends commands to Ceph: :class:`~douane.stores.rbd.process.Helper`."""

    def call(self, command: str, **arguments: Any) -> Any:
        """The answer. Raises HelperError."""


def publish(helper: Commands, name: str, new_name: str) -> None:
    """Protect a snapshot of the image `name`, and rename the image: it becomes visible in one step, with its snapshot.

    Raises HelperError: ENOENT if there is no image `name`, EEXIST if there is another image `new_name`.
    """
    snapshots = helper.call("snapshots", name=name)
    if SNAP not in snapshots:
        helper.call("make_snapshot", name=name, snap=SNAP)
    if not snapshots.get(SNAP):
        helper.call("protect", name=name, snap=SNAP)
    helper.call("rename", name=name, new_name=new_name, snap=SNAP)


def delete(helper: Commands, name: str, options: RbdOptions) -> bool:
    """Delete an image and its snapshots; False if it is not there. Raises HelperError, and StoreError
    (``image-in-use``) if it has clones."""
    try:
        snapshots = helper.call("snapshots", name=name)
    except HelperError as error:
        if error.number == errno.ENOENT:
            return False
        raise
    try:
        for snap, is_protected in snapshots.items():
            if snap != SNAP or helper.call("clones", name=name, snap=snap):
                raise in_use(name, options)
            if is_protected:
                helper.call("unprotect", name=name, snap=snap)
            helper.call("remove_snapshot", name=name, snap=snap)
    except HelperError as error:
        if error.number == errno.EBUSY:  # cloned at this moment
            raise in_use(name, options) from error
        raise
    try:
        helper.call("remove", name=name)
    except HelperError as error:
        if error.number == errno.ENOTEMPTY:  # cloned at this moment, without a protected snapshot (clones of format 2)
            raise in_use(name, options) from error
        if error.number != errno.ENOENT:
            raise
    return True


def clones(helper: Commands, name: str) -> int:
    """The number of clones of an image; 0 if it is not there. Raises HelperError."""
    try:
        return int(helper.call("clones", name=name, snap=SNAP))
    except HelperError as error:
        if error.number == errno.ENOENT:
            return 0
        raise


def in_use(name: str, options: RbdOptions) -> StoreError:
    """The error of an image that others depend on."""
    return StoreError(
        f"the image {name} has clones, or snapshots of others, in the cluster (rbd children {options.pool}/{name}@"
        f"{SNAP}): delete these volumes first, or flatten them",
        code="image-in-use",
    )
