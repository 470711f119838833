"""What makes a machine itself, and must not be the same in all guests of an image: keys, machine-id, seeds."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.facts.machine_id import DBUS_PATH, PATH, SET, machine_id_of
from douane_guest.facts.ssh import authorized_keys_of, host_keys_of

from .rules import Finding
from .system import System, item_place

VAGRANT_KEYS = (
    "SHA256:1M4RzhMyWuFS/86uPY/ce2prh/dVTHW7iD2RhpquOZA",
    "SHA256:WkvqjnyPAeC0cbPErYiGP9vqHdgL1MqqvPdIe3lvHgI",
)
SEEDS = (
    *("var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "var/lib/random-seed", "var/lib/misc/random-seed"),
    *("var/lib/seedrng/seed.*", "boot/efi/loader/random-seed", "efi/loader/random-seed", "boot/loader/random-seed"),
)


def check_keys(system: System) -> Iterator[Finding]:
    """Keys that open accounts, and keys of the host."""
    accounts = [account for account, _ in system.accounts]
    for key in authorized_keys_of(system.tree, accounts):
        who = f"a key ({key.key.type}, {key.key.fingerprint}) opens the account {key.account}"
        rule = "builder-key" if key.key.fingerprint in VAGRANT_KEYS else "authorized-keys"
        public = "; everybody has its private part" if rule == "builder-key" else ""
        yield Finding(rule, system.place(key.path), f"{who}{public}; remove it, cloud-init brings the tenant's")
    for host_key in host_keys_of(system.tree):
        yield Finding("host-keys", system.place(host_key.path), "is a private key of the SSH server; remove it")


def check_machine(system: System) -> Iterator[Finding]:
    """The identity of the machine, and its seeds."""
    if machine_id_of(system.tree) == SET:
        sentence = "has a value, which all guests would share; empty it: truncate --size 0 /etc/machine-id"
        yield Finding("machine-id", system.place(PATH), sentence)
    if machine_id_of(system.tree, DBUS_PATH) == SET and system.tree.stat(DBUS_PATH, follow=False).node.kind == "file":
        yield Finding("dbus-machine-id", system.place(DBUS_PATH), "has a value; make it a link to /etc/machine-id")
    for item in system.items(*SEEDS):
        if item.node.kind == "file" and item.node.size:
            yield Finding("random-seed", item_place(item), "is a seed for random numbers; remove it")
