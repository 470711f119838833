"""The descriptors that a plugin's process is handed at its start."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator

import msgspec

from douane.plan.grants import connect_grant, open_grant
from douane.plan.model import PluginSpec

from .base import Supplies
from .broker import Broker
from .messages import SentGrant, SentRing


class Handover(msgspec.Struct, frozen=True):
    """This process's copies of the descriptors. They are closed when the plugin's process has its own."""

    rings: list[SentRing]
    grants: dict[str, SentGrant]
    image_fd: int | None

    def fds(self) -> list[int]:
        """All of them."""
        image = [self.image_fd] if self.image_fd is not None else []
        controls = [grant.connect_fd for grant in self.grants.values() if grant.connect_fd is not None]
        return [ring.fd for ring in self.rings] + [grant.fd for grant in self.grants.values()] + controls + image


@contextlib.contextmanager
def handover(spec: PluginSpec, supplies: Supplies, broker: Broker | None, *, needs_file: bool) -> Iterator[Handover]:
    """Open the plugin's descriptors, and close them at the end of the block.

    Raises PlanError for a grant that cannot be opened, GrantUnavailable if its service does not answer, and SinkError.
    """
    with contextlib.ExitStack() as closing:

        def close_later(fd: int) -> int:
            closing.callback(os.close, fd)
            return fd

        grants = _open_grants(spec, broker, close_later)
        image_fd = close_later(supplies.open_file()) if needs_file else None
        # Each plugin has its own open file: the offset of a shared one would be a channel between plugins.
        rings = [
            SentRing(close_later(os.open(f"/proc/self/fd/{ring.fd}", os.O_RDONLY | os.O_CLOEXEC)), ring.slot_bytes)
            for ring in supplies.rings
        ]
        yield Handover(rings, grants, image_fd)


def _open_grants(spec: PluginSpec, broker: Broker | None, close_later: Callable[[int], int]) -> dict[str, SentGrant]:
    folders = spec.socket_folders()
    grants = {}
    for name in spec.grants:
        fd, kind = open_grant(spec, name)
        control = broker.controls.get(name) if broker is not None else None
        grants[name] = SentGrant(close_later(fd), kind, control, folders.get(name))
    return grants


def make_broker(spec: PluginSpec) -> Broker | None:
    """The broker of a plugin with granted sockets, which has begun; None for other plugins."""
    names = spec.granted_sockets()
    if not names:
        return None
    targets = {name: functools.partial(connect_grant, spec, name) for name in names}
    return Broker(spec.name, targets, spec.socket_folders())
