"""The rules of `baseline` by name: what each means, and how much it counts in each profile by default."""

from __future__ import annotations

from typing import NamedTuple

from douane.plugins._judgement import ALLOW, REFUSE, WARN

WORDS = (ALLOW, WARN, REFUSE)
DEBIAN, UBUNTU, FEDORA, ALPINE, WINDOWS, LINUX = "debian", "ubuntu", "fedora", "alpine", "windows", "linux"
PROFILES = (DEBIAN, UBUNTU, FEDORA, ALPINE, WINDOWS, LINUX)
"""The last is for a Linux that is none of the others."""

CODE = "baseline-"
"""Before the name of a rule: the code of its refusals and warnings."""

_LIKE = {
    "ubuntu": UBUNTU,
    "debian": DEBIAN,
    "fedora": FEDORA,
    "rhel": FEDORA,
    "centos": FEDORA,
    "alpine": ALPINE,
    "windows": WINDOWS,
}


class Rule(NamedTuple):
    """A rule and its default by profile."""

    meaning: str
    """What it refuses, for the documentation."""

    defaults: dict[str, str]


class Finding(NamedTuple):
    """Something in the image that a rule does not allow."""

    rule: str
    place: str
    sentence: str
    """What is wrong, and what the tenant does about it."""


def _on(linux: str, meaning: str, *, windows: str = ALLOW, **others: str) -> Rule:
    defaults = dict.fromkeys(PROFILES, linux) | {WINDOWS: windows} | others
    return Rule(meaning, defaults)


RULES = {
    "unknown-system": _on(REFUSE, "no system, or one that no profile is for", windows=REFUSE),
    "root-password": _on(REFUSE, "a user with uid 0 has a password that works"),
    "account-password": _on(WARN, "another account has a password that works"),
    "empty-password": _on(REFUSE, "an account needs no password"),
    "default-password": _on(REFUSE, "an account has a well-known password"),
    "second-root": _on(REFUSE, "another account than root has uid 0"),
    "authorized-keys": _on(REFUSE, "a key opens an account", windows=REFUSE),
    "builder-key": _on(REFUSE, "the published key of Vagrant opens an account"),
    "builder-account": _on(REFUSE, "an account of a builder: packer, vagrant", windows=REFUSE),
    "host-keys": _on(REFUSE, "private keys of the SSH server", windows=REFUSE),
    "machine-id": _on(REFUSE, "/etc/machine-id has a value"),
    "dbus-machine-id": _on(REFUSE, "dbus has a machine-id of its own"),
    "random-seed": _on(REFUSE, "a seed for random numbers, which all guests would share"),
    "ssh-root-login": _on(REFUSE, "sshd lets root in with a password"),
    "ssh-passwords": _on(WARN, "sshd_config turns passwords on"),
    "ssh-empty-passwords": _on(REFUSE, "sshd lets accounts in that need no password"),
    "sudo-nopasswd": _on(REFUSE, "sudo or doas makes an account root without a password, and it is no cloud user"),
    "first-boot": _on(REFUSE, "no cloud-init, ignition, tiny-cloud or cloudbase-init, or it is off", windows=REFUSE),
    "cloud-init-logins": _on(REFUSE, "settings or seeds of cloud-init bring a password or a key"),
    "cloud-init-state": _on(REFUSE, "cloud-init has run in the image"),
    "kernel": _on(REFUSE, "no kernel", windows=REFUSE),
    "boot-loader": _on(REFUSE, "no boot loader, neither for BIOS nor for UEFI", windows=REFUSE),
    "selinux-mode": _on(ALLOW, "SELinux is not enforcing", fedora=WARN),
    "selinux-labels": _on(REFUSE, "SELinux is on, and files have no label"),
    "selinux-autorelabel": _on(WARN, "the first start labels all files, and starts again"),
    "setuid": _on(REFUSE, "a set-id file that is not on the list"),
    "capabilities": _on(REFUSE, "a file with capabilities that is not on the list"),
    "world-writable": _on(REFUSE, "files of the system that everybody can change"),
    "shell-history": _on(REFUSE, "the history of a shell or of another program"),
    "known-hosts": _on(WARN, "hosts that the builder knew by SSH"),
    "temporary-files": _on(WARN, "content in /tmp or /var/tmp"),
    "package-caches": _on(WARN, "lists and packages that a package manager has downloaded"),
    "logs": _on(WARN, "logs with content"),
    "network-rules": _on(REFUSE, "udev rules that tie a network card to the address of the builder's"),
    "dhcp-leases": _on(WARN, "leases of DHCP"),
    "swap-files": _on(WARN, "a swap file, which holds memory", windows=WARN),
    "core-dumps": _on(REFUSE, "memory of a program that crashed", windows=REFUSE),
    "git-folders": _on(WARN, "a .git folder in the home of a user"),
    "builder-files": _on(WARN, "files of an installer or a builder"),
    "unattend-password": _on(ALLOW, "an answer file of Windows' setup has a password", windows=REFUSE),
    "sysprep": _on(ALLOW, "Windows was not generalized by sysprep", windows=REFUSE),
}


def profile_of(os: dict[str, str]) -> str | None:
    """The profile for a system by its os-release, None if there is none for it."""
    for word in [os.get("ID", ""), *os.get("ID_LIKE", "").split()]:
        if word in _LIKE:
            return _LIKE[word]
    return None


def check_words(rules: dict[str, str]) -> dict[str, str]:
    """What the operator has set. Raises ValueError for an unknown name or word."""
    for name, word in rules.items():
        if name not in RULES:
            raise ValueError(f"'rules' has no rule {name!r:.60}; the rules are: {', '.join(RULES)}")
        if word not in WORDS:
            raise ValueError(f"the rule {name!r} is one of {', '.join(WORDS)}, not {word!r:.60}")
    return dict(rules)
