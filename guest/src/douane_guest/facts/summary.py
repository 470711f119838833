"""All facts of a guest together, as ``douane inspect --guest`` shows them. A fact that cannot be read is in
`guest.unread`, and the others are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

from douane_guest.errors import GuestError
from douane_guest.guest import Guest
from douane_guest.tree import Tree
from douane_guest.volume import Volume

from . import boot, first_boot, kernels, machine_id, ssh
from .accounts import Account, accounts_of

Arguments = ParamSpec("Arguments")
Fact = TypeVar("Fact")
UNREAD = "unread"


class System(NamedTuple):
    """One of the systems in an image."""

    volume: str
    mounts: dict[str, str]
    """Names of volumes by where they are mounted."""

    os: dict[str, str]
    """The fields of os-release, or the version of Windows by the same names."""

    packages: dict[str, int]
    """How many, by kind."""

    accounts: list[Account]
    authorized_keys: list[ssh.AuthorizedKey]
    host_keys: list[ssh.HostKey]
    machine_id: str
    dbus_machine_id: str
    kernels: list[kernels.Kernel]
    cloud_init: first_boot.CloudInit | None
    ignition: first_boot.Ignition | None
    cloudbase_init: bool


class Boot(NamedTuple):
    """How the image starts."""

    loaders: list[boot.Loader]
    settings: list[str]
    data_volumes: list[str]
    """Volumes with data for cloud-init."""


class Facts:
    """Collects facts of a guest. `alive` is called between them."""

    def __init__(self, guest: Guest, alive: Callable[[], None] = lambda: None) -> None:
        self._guest = guest
        self._alive = alive

    def systems(self) -> list[System]:
        """The facts of each system."""
        return [self._system(root) for root in self._guest.roots]

    def boot(self) -> Boot:
        """What starts them."""
        guest = self._guest
        loaders = self._rows("disk: the boot sectors", boot.sector_loaders, guest)
        loaders += self._rows("disk: the programs of UEFI", boot.program_loaders, guest)
        settings: list[str] = []
        for root in guest.roots:
            settings += self._rows(_of(root, "the boot loader"), boot.settings_of, root)
        for tree in unmounted(guest):
            settings += self._rows(_of(tree, "the boot loader"), boot.settings_of, tree, boot.VOLUME_SETTINGS)
        return Boot(loaders, list(dict.fromkeys(settings)), first_boot.data_volumes(guest))

    def _system(self, root: Tree) -> System:
        guest = self._guest
        accounts = self._rows(_of(root, "the accounts"), accounts_of, root)
        others = unmounted(guest)
        files = self._rows(_of(root, "the kernels"), kernels.kernels_of, root)
        for tree in others:
            files += self._rows(_of(tree, "the kernels"), kernels.kernels_of, tree, "")
        machine = _of(root, "machine-id")
        return System(
            volume=root.volume.name,
            mounts=root.mounts,
            os=guest.os_of(root),
            packages=dict(sorted(Counter(package.kind for package in guest.packages_of(root)).items())),
            accounts=accounts,
            authorized_keys=self._rows(_of(root, "the keys"), ssh.authorized_keys_of, root, accounts),
            host_keys=self._rows(_of(root, "the host keys"), ssh.host_keys_of, root),
            machine_id=self._fact(machine, UNREAD, machine_id.machine_id_of, root),
            dbus_machine_id=self._fact(machine, UNREAD, machine_id.machine_id_of, root, machine_id.DBUS_PATH),
            kernels=list(dict.fromkeys(files)),
            cloud_init=self._fact(_of(root, "cloud-init"), None, first_boot.cloud_init_of, root),
            ignition=self._fact(_of(root, "ignition"), None, first_boot.ignition_of, (root, *others)),
            cloudbase_init=self._fact(_of(root, "cloudbase-init"), False, first_boot.has_cloudbase_init, root),
        )

    def _rows(
        self, place: str, collect: Callable[Arguments, list[Fact]], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> list[Fact]:
        rows: list[Fact] = []
        return self._fact(place, rows, collect, *args, **kwargs)

    def _fact(
        self,
        place: str,
        missing: Fact,
        collect: Callable[Arguments, Fact],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Fact:
        self._alive()
        try:
            return collect(*args, **kwargs)
        except GuestError as error:
            self._guest.unread.add_error(place, error)
            return missing


def _of(tree: Tree, fact: str) -> str:
    return f"{tree.volume.name}: {fact}"


def unmounted(guest: Guest) -> list[Tree]:
    """Volumes that no system mounts by its fstab: an ESP, a /boot that is mounted by its type."""
    mounted = {name for root in guest.roots for name in root.mounts.values()}
    return [guest.tree(volume.name) for volume in guest.volumes if volume.name not in mounted]


def mounted_at(volume: Volume, systems: list[System]) -> list[str]:
    """Where systems mount a volume."""
    return sorted({path for system in systems for path, name in system.mounts.items() if name == volume.name})
