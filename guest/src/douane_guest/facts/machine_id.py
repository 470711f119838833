"""The identity of a machine, which an image must not have: machine-id(5). The value itself is not shown."""

from __future__ import annotations

from douane_guest.tree import Tree, try_read

ABSENT, EMPTY, UNINITIALIZED, SET = "absent", "empty", "uninitialized", "set"
PATH = "etc/machine-id"
DBUS_PATH = "var/lib/dbus/machine-id"
MAX_SIZE = 4096


def machine_id_of(tree: Tree, path: str = PATH) -> str:
    """``absent``, ``empty``, ``uninitialized`` (the first start makes one), or ``set``."""
    data = try_read(tree, path, MAX_SIZE)
    if data is None:
        return ABSENT
    text = data.strip()
    if not text:
        return EMPTY
    return UNINITIALIZED if text == b"uninitialized" else SET
