"""The document of `douane inspect --guest`, as types: the command line checks what comes out of a sandbox."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from douane.errors import SandboxError


class Disk(msgspec.Struct, frozen=True):
    """The disk that the guest sees: sizes in bytes."""

    format: str
    size: int
    sector: int


class Volume(msgspec.Struct, frozen=True):
    """A file system. `clean` False: it was not unmounted."""

    name: str
    filesystem: str
    size: int
    uuid: str
    label: str
    clean: bool | None
    mounted: list[str]


class Loader(msgspec.Struct, frozen=True):
    """Code that firmware starts."""

    firmware: Literal["bios", "uefi"]
    kind: str
    place: str


class Boot(msgspec.Struct, frozen=True):
    """What starts the image."""

    loaders: list[Loader]
    settings: list[str]
    data_volumes: list[str]


class PublicKey(msgspec.Struct, frozen=True):
    """A key of SSH."""

    type: str
    fingerprint: str
    comment: str


class AuthorizedKey(msgspec.Struct, frozen=True):
    """A key that opens an account, and the file that it is in."""

    type: str
    fingerprint: str
    comment: str
    path: str


class Account(msgspec.Struct, frozen=True):
    """An account with a password or a key."""

    name: str
    uid: str
    home: str
    shell: str
    password: Literal["empty", "locked", "none", "set"]
    hash: str
    keys: list[AuthorizedKey]


class HostKey(msgspec.Struct, frozen=True):
    """A private key of the host; `key` is what the file beside it says."""

    path: str
    key: PublicKey | None


class Kernel(msgspec.Struct, frozen=True):
    """A kernel, and its version if that is known."""

    volume: str
    path: str
    version: str


class CloudInit(msgspec.Struct, frozen=True):
    """cloud-init: where it looks for data, and whether it has run."""

    enabled: bool
    data_sources: list[str]
    seeds: list[str]
    ran: bool


class Ignition(msgspec.Struct, frozen=True):
    """Ignition: whose data it asks for, and whether it will run."""

    platform: str
    will_run: bool


MachineId = Literal["absent", "empty", "uninitialized", "set", "unread"]


class System(msgspec.Struct, frozen=True):
    """A system in the image. `packages` are numbers by kind."""

    volume: str
    os: dict[str, str]
    packages: dict[str, int]
    account_count: int
    accounts: list[Account]
    host_keys: list[HostKey]
    machine_id: MachineId
    dbus_machine_id: MachineId
    kernels: list[Kernel]
    cloud_init: CloudInit | None
    ignition: Ignition | None
    cloudbase_init: bool


class GuestSummary(msgspec.Struct, frozen=True):
    """All of it. `left_out`: rows that did not fit."""

    disk: Disk | None
    volumes: list[Volume]
    boot: Boot
    systems: list[System]
    left_out: int


def read_summary(document: Any) -> GuestSummary:
    """The document, checked. Raises SandboxError."""
    try:
        return msgspec.convert(document, GuestSummary)
    except msgspec.ValidationError as error:
        raise SandboxError(f"the inspector 'guest' attached an invalid document: {error}") from error
