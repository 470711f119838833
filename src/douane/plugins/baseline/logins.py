"""Who becomes root, and how one logs in: sudoers(5), doas.conf(5), sshd_config(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from douane_guest.facts.ssh import settings_of

from .rules import Finding
from .system import System, item_place

CLOUD_USERS = (
    *("root", "debian", "ubuntu", "fedora", "centos", "rocky", "almalinux", "cloud-user", "ec2-user", "cloud"),
    *("alpine", "opc", "core", "azureuser"),
)
SUDOERS = ("etc/sudoers", "usr/etc/sudoers", "etc/sudoers.d/*")
DOAS = ("etc/doas.conf", "etc/doas.d/*.conf")
CLOUD_SETTINGS = ("etc/cloud/cloud.cfg", "etc/cloud/cloud.cfg.d/*.cfg")
_TAG = re.compile(r"\b(NOPASSWD|PASSWD)\s*:")
_RUN_AS = re.compile(r"\([^()]*\)")
_ALL = re.compile(r"\bALL\b")
_DEFAULT_USER = re.compile(
    r"^[ \t]*default_user[ \t]*:[ \t]*\n(?:[ \t][^\n]*\n){0,30}?[ \t]+name[ \t]*:[ \t]*[\"']?([\w.-]+)", re.MULTILINE
)
"""The expressions take linear time: an image may have a megabyte of anything."""

_SSHD = {
    ("permitrootlogin", "yes"): ("ssh-root-login", "lets root in with a password; set it to prohibit-password"),
    ("passwordauthentication", "yes"): ("ssh-passwords", "lets people in with passwords; set it to no"),
    ("permitemptypasswords", "yes"): ("ssh-empty-passwords", "lets accounts in that need no password; set it to no"),
}


def check_sshd(system: System) -> Iterator[Finding]:
    """What sshd_config says; what it does not say is up to sshd, which is not judged."""
    known = set()
    for setting in settings_of(system.tree):
        first = setting.word not in known
        if not setting.conditional:
            known.add(setting.word)
        finding = _SSHD.get((setting.word, setting.value.lower()))
        if finding and first:
            yield Finding(finding[0], system.place(setting.path), f"{setting.word} {setting.value} {finding[1]}")


def check_sudo(system: System, added: list[str]) -> Iterator[Finding]:
    """Accounts and groups that become root without a password. `added`: further users that may."""
    allowed = {*CLOUD_USERS, *added}
    for item in system.items(*CLOUD_SETTINGS):
        allowed |= set(_DEFAULT_USER.findall(system.text(item.path)))
    for item in system.items(*SUDOERS):
        name = item.path.rpartition("/")[2]
        if "sudoers.d/" in item.path and ("." in name or name.endswith("~")):
            continue  # sudo leaves them out
        for line in system.lines(item.path):
            users = users_without_password(line)
            if line.startswith("Defaults") and "!authenticate" in line.replace(" ", ""):
                users = ["everybody in sudoers"]
            yield from _become_root(item_place(item), [user for user in users if user not in allowed])
    for item in system.items(*DOAS):
        for line in system.lines(item.path):
            words = line.split()
            if words[0] == "permit" and "nopass" in words and not {"cmd", *allowed} & set(words):
                yield from _become_root(item_place(item), [line[:60]])


def users_without_password(line: str) -> list[str]:
    """The users and groups that a line of sudoers lets run everything without a password."""
    head, _, rights = line.partition("=")
    if line.startswith("Defaults") or "NOPASSWD" not in rights:
        return []
    _, *tags = _TAG.split(_RUN_AS.sub("", rights))
    if not any(
        tag == "NOPASSWD" and _ALL.search(commands) for tag, commands in zip(tags[::2], tags[1::2], strict=True)
    ):
        return []
    users = " ".join(head.split()).replace(" ,", ",").replace(", ", ",").partition(" ")[0]
    return users.split(",")


def _become_root(place: str, users: list[str]) -> Iterator[Finding]:
    for user in users:
        yield Finding("sudo-nopasswd", place, f"{user} becomes root without a password; remove the line")
