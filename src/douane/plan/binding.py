"""Plugins that are not for every image: by the door that an image comes through, by the roles of its sender, and by the
store that it goes into.

Only transforms can be bound, and the inspectors of what a transform makes for a store. Any other inspector sees every
image, or a door would be open.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Door = Literal["upload", "import"]
"""``upload``: the image is stored as it arrives; nothing can be put in its place. ``import``: it is staged first."""

DOORS: tuple[Door, ...] = get_args(Door)


class Sender(msgspec.Struct, frozen=True):
    """How an image reaches an image service, and who sends it."""

    door: Door | None = None
    """None: through no service, as on the command line; then every plugin counts."""

    roles: tuple[str, ...] = ()
    """The roles of the user, and of the service that sends the image for the user."""

    store: str | None = None
    """The id of the store that the image goes into. None: no store, or one that is not known yet; then no plugin counts
    that is bound to stores."""


ANYBODY = Sender()
