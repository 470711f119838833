"""The plan: plugins in the order in which an image passes them, policy, and limits."""

from __future__ import annotations

import hashlib
import itertools
import os
from typing import Any, Literal

import msgspec

from douane.stream.digest import ALGORITHMS
from douane.units import GiB, MiB

from .binding import DOORS, Door, Sender

Mode = Literal["enforce", "warn", "audit"]
OnFailure = Literal["reject", "warn"]
TierName = Literal["full", "strict", "off"]


class PluginSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One ``[[plugin]]`` of the configuration, with defaults. docs/configuration.md explains the settings."""

    name: str
    use: str
    """A built-in or installed plugin, ``module:Class``, ``path/to/file.py:Class``, ``exec:...`` or ``wire:...``."""

    mode: Mode = "enforce"
    on_error: OnFailure = "reject"
    on_timeout: OnFailure = "reject"
    on_incomplete: OnFailure = "reject"
    start: float = 30.0
    """Seconds until the plugin must be ready."""

    stall: float = 30.0
    """Seconds without progress."""

    timeout: float = 600.0
    """Seconds of work on the image."""

    memory: int = 512 * MiB
    """Bytes."""

    threads: int = 64
    processes: int = 16
    forks: bool = False
    """The operator has set `processes`, so the plugin may have some, also without programs."""

    python: str | None = None
    """The plugin's interpreter; None is the interpreter of Douane."""

    programs: tuple[str, ...] = ()
    """Names or paths of the programs that the plugin may run."""

    modules: tuple[str, ...] = ()
    """Files and folders beside the file of a Python plugin that it may import and read."""

    refuse: tuple[int, ...] | None = None
    """Exit statuses by which an ``exec:`` program refuses; None is 1, which programs that fail exit with, too."""

    config: dict[str, Any] = {}
    """Arguments of the constructor."""

    texts: dict[str, str] = {}
    """Arguments of the constructor from the command line, not converted yet."""

    grants: dict[str, str] = {}
    """The targets of granted resources (``unix:/run/x.sock``), by name."""

    socket_paths: tuple[str, ...] = ()
    """The sockets in `grants` that libraries in the sandbox can connect to at a path."""

    connect_as: str | None = None
    """The user as whom Unix sockets in `grants` are connected; None is the user of Douane."""

    max_output: int = 128 * GiB
    """Bytes that a transform may produce."""

    max_ratio: float = 250.0
    """Bytes of non-zero output for each byte of input."""

    may_set: tuple[str, ...] = ()
    """Patterns of the image properties that the plugin may set."""

    scratch: int | None = None
    """Bytes of temporary files; None is no such files."""

    reuse: int = 1
    """Images that a process of the plugin may serve, one after the other."""

    only: tuple[Door, ...] = DOORS
    """The doors that a transform is for."""

    exempt_roles: tuple[str, ...] = ()
    """A transform leaves the images of senders alone who have one of these roles."""

    stores: tuple[str, ...] = ()
    """The ids of the stores that the plugin is for; empty: for all images, wherever they go."""

    own_defaults: tuple[str, ...] = ()
    """The settings that the configuration leaves out, and whose values are those that a built-in plugin needs."""

    base: str = ""
    """The folder at which relative paths begin; see :meth:`path`."""

    @property
    def is_bound(self) -> bool:
        """True if there are images that the plugin is not for."""
        return self.only != DOORS or bool(self.exempt_roles) or bool(self.stores)

    def is_for(self, sender: Sender) -> bool:
        """True if the images of `sender` go through the plugin. Roles are compared as oslo.policy does."""
        exempt = {role.lower() for role in self.exempt_roles} & {role.lower() for role in sender.roles}
        is_stored = not self.stores or sender.store in self.stores
        return (sender.door is None or sender.door in self.only) and not exempt and is_stored

    def path(self, text: str) -> str:
        """A path of the configuration: ``~`` is the home directory, a relative path begins at `base`."""
        return os.path.join(self.base, os.path.expanduser(text))

    def grants_sockets(self, kind: str) -> bool:
        """True if the plugin is granted a socket of this kind, ``unix`` or ``tcp``."""
        return any(target.startswith(f"{kind}:") for target in self.grants.values())

    def may_send_messages(self, has_programs: bool) -> bool:
        """True if the plugin may call sendmsg(2), which can pass descriptors. Programs do: `convert` connects qemu-img
        to a socket. Libraries that connect at a path do, too."""
        may_need = has_programs or self.grants_sockets("tcp") or bool(self.socket_paths)
        return may_need and not (self.grants_sockets("unix") and not self.relayed_sockets())

    def relayed_sockets(self) -> tuple[str, ...]:
        """The grants whose bytes the engine copies: Unix sockets, which could carry descriptors, of a plugin that may
        call sendmsg(2) because of its `socket_paths`."""
        return tuple(name for name, target in self.grants.items() if self.socket_paths and target.startswith("unix:"))

    def granted_sockets(self) -> tuple[str, ...]:
        """The names of all grants that are sockets."""
        return tuple(name for name, target in self.grants.items() if target.startswith(("unix:", "tcp:")))

    def socket_folders(self) -> dict[str, str]:
        """The folder in the sandbox of each grant in `socket_paths`, by name. It exists nowhere: the engine answers the
        calls of connect(2)."""
        return {name: f"/sockets/{name}" for name in self.socket_paths}

    def config_digest(self) -> str:
        """SHA-256 (hex) of the plugin's configuration, grants included, in a canonical form."""
        # What most plugins do not have is left out, so that their digests stay as they are.
        user = [self.connect_as] if self.connect_as is not None else []
        refuse = [self.refuse] if self.refuse is not None else []
        paths = [{"socket_paths": self.socket_paths}] if self.socket_paths else []
        settings = [self.config, self.texts, self.grants, *user, *refuse, *paths]
        canonical = msgspec.json.encode(settings, order="deterministic")
        return hashlib.sha256(canonical).hexdigest()


class GuestBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``[guest]``: the bounds of the reader of files, for the plugins with ``reads = "files"``."""

    entries: int = 10_000_000
    """Files, folders and links of an image."""

    depth: int = 128
    """Folders in folders."""

    delivered: int = 128 * GiB
    """Bytes of files."""

    memory: int = 256 * MiB
    """Bytes. The reader itself takes less than 64 MiB of any image."""

    stall: float = 30.0
    """Seconds without progress."""

    timeout: float = 600.0
    """Seconds of work on an image."""


class EvidenceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``[evidence]``: who signs the summary of an accepted image."""

    key: str
    """The file of a private key in PEM; or the URI of a key in a token, ``pkcs11:...``."""

    verifier: str
    """The URI that names this site to those who verify summaries."""

    password_file: str | None = None
    """The file with the password of the PEM file."""

    policy_uri: str | None = None
    """Where the site's policy can be read."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration of an import."""

    plugins: tuple[PluginSpec, ...]
    digests: tuple[str, ...] = ALGORITHMS
    """Digests of the image as stored."""

    received_digests: tuple[str, ...] = ALGORITHMS
    """Digests of the image as received, if a transform changes it."""

    deadline: float = 86400.0
    """Seconds for the whole import."""

    minimum_sandbox: TierName = "strict"
    guest: GuestBounds = GuestBounds()
    evidence: EvidenceSettings | None = None
    """None: no summaries."""

    def for_sender(self, sender: Sender) -> Plan:
        """The plan that the images of `sender` go through; this object itself if that is all of it."""
        plugins = tuple(plugin for plugin in self.plugins if plugin.is_for(sender))
        return self if len(plugins) == len(self.plugins) else msgspec.structs.replace(self, plugins=plugins)

    def bound_to(self, store: str) -> tuple[str, ...]:
        """The names of the plugins that are bound to `store`, in order."""
        return tuple(plugin.name for plugin in self.plugins if store in plugin.stores)

    def for_variant(self, store: str) -> Plan:
        """The plan by which `store` gets an image that the plugins for all stores have passed: those that are bound to
        the store, and the inspectors after them."""
        later = itertools.dropwhile(lambda plugin: store not in plugin.stores, self.plugins)
        plugins = tuple(plugin for plugin in later if not plugin.stores or store in plugin.stores)
        return msgspec.structs.replace(self, plugins=plugins)

    def for_image_service(self, *, transforms: bool) -> Plan:
        """This plan for a host that digests what it stores: no digests, or only SHA-256 if a summary names the image by
        it, or a transform may change the image, to tell a changed image from an unchanged one (the fastest strong
        digest, with the processor's help)."""
        needed = ("sha256",) if transforms or self.evidence is not None else ()
        return msgspec.structs.replace(self, digests=needed, received_digests=needed)
