"""What a plugin's process is handed at its start: descriptors, and the paths that its sandbox shows."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator

import msgspec

from douane import sandbox
from douane.plan.grants import check_target, connect_grant
from douane.plan.model import PluginSpec
from douane.plan.path_grants import is_path_target, open_path_grant
from douane.report import GrantedContent

from .base import Supplies
from .broker import Broker
from .messages import SentGrant, SentRing


class OpenGrants(msgspec.Struct, frozen=True):
    """The grants of a plugin. This process's copies of the descriptors are closed when the plugin's process has its
    own."""

    sent: dict[str, SentGrant]
    """For LOAD."""

    paths: tuple[sandbox.GrantedPath, ...]
    """For the sandbox."""

    contents: dict[str, GrantedContent]
    """For the report."""

    def fds(self) -> list[int]:
        """The descriptors that the plugin's process gets."""
        controls = [grant.connect_fd for grant in self.sent.values() if grant.connect_fd is not None]
        return [grant.fd for grant in self.sent.values() if isinstance(grant.fd, int)] + controls


class Handover(msgspec.Struct, frozen=True):
    """This process's copies of the descriptors. They are closed when the plugin's process has its own."""

    rings: list[SentRing]
    grants: OpenGrants
    image_fd: int | None

    def fds(self) -> list[int]:
        """All of them."""
        image = [self.image_fd] if self.image_fd is not None else []
        return [ring.fd for ring in self.rings] + self.grants.fds() + image


@contextlib.contextmanager
def handover(spec: PluginSpec, supplies: Supplies, broker: Broker | None, *, needs_file: bool) -> Iterator[Handover]:
    """Open the plugin's descriptors, and close them at the end of the block.

    Raises PlanError for a grant that cannot be opened, GrantUnavailable if its service does not answer, and SinkError.
    """
    with contextlib.ExitStack() as closing:

        def close_later(fd: int) -> int:
            closing.callback(os.close, fd)
            return fd

        grants = _open_all(spec, broker, close_later)
        image_fd = close_later(supplies.open_file()) if needs_file else None
        # Each plugin has its own open file: the offset of a shared one would be a channel between plugins.
        rings = [
            SentRing(close_later(os.open(f"/proc/self/fd/{ring.fd}", os.O_RDONLY | os.O_CLOEXEC)), ring.slot_bytes)
            for ring in supplies.rings
        ]
        yield Handover(rings, grants, image_fd)


@contextlib.contextmanager
def opened_grants(spec: PluginSpec, broker: Broker | None) -> Iterator[OpenGrants]:
    """Open the grants alone, and close them at the end of the block. Raises PlanError, GrantUnavailable."""
    with contextlib.ExitStack() as closing:

        def close_later(fd: int) -> int:
            closing.callback(os.close, fd)
            return fd

        yield _open_all(spec, broker, close_later)


def _open_all(spec: PluginSpec, broker: Broker | None, close_later: Callable[[int], int]) -> OpenGrants:
    folders = spec.socket_folders()
    sent: dict[str, SentGrant] = {}
    paths, contents = [], {}
    for name, target in spec.grants.items():
        check_target(f"plugin {spec.name!r}: grant {name!r}", target)
        if not is_path_target(target):
            connection = connect_grant(spec, name)
            connection = broker.for_plugin(name, connection) if broker is not None else connection
            fd = close_later(connection.detach())
            control = broker.controls.get(name) if broker is not None else None
            sent[name] = SentGrant("socket", fd, connect_fd=control, socket_folder=folders.get(name))
            continue
        grant = open_path_grant(spec, name)
        close_later(grant.fd)
        kind = grant.content.kind
        sent[name] = SentGrant(kind, grant.fd if kind == "file" else msgspec.UNSET, path=grant.path or msgspec.UNSET)
        contents[name] = grant.content
        if grant.granted is not None:
            paths.append(grant.granted)
    return OpenGrants(sent, tuple(paths), contents)


def make_broker(spec: PluginSpec) -> Broker | None:
    """The broker of a plugin with granted sockets, which has begun; None for other plugins."""
    names = spec.granted_sockets()
    if not names:
        return None
    targets = {name: functools.partial(connect_grant, spec, name) for name in names}
    return Broker(spec.name, targets, spec.socket_folders(), spec.relayed_sockets())
