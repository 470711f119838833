"""The guest of `douane_guest` behind `image.guest`, for what the contract lacks: accounts, keys, boot loaders, and the
lists of package managers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_guest.guest import Guest
    from douane_guest.tree import Tree
    from douane_plugin import GuestRoot, Image


def guest_behind(image: Image) -> Guest:
    """The guest that `image.guest` shows, and not another one of the same file: it was opened as the format that the
    image has, and what cannot be read in it is in `image.guest.unread`."""
    guest: Guest = image.guest._guest
    return guest


def system_behind(root: GuestRoot) -> tuple[Guest, Tree]:
    """The same of a system in it, and its tree."""
    guest: Guest = root._guest
    tree: Tree = root._tree
    return guest, tree
