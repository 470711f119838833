"""The guest of `douane_guest` behind `image.guest`, for what the contract lacks: accounts, keys, boot loaders."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_guest.guest import Guest
    from douane_plugin import Image


def guest_behind(image: Image) -> Guest:
    """The guest that `image.guest` shows, and not another one of the same file: it was opened as the format that the
    image has, and what cannot be read in it is in `image.guest.unread`."""
    guest: Guest = image.guest._guest
    return guest
