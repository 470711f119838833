"""Who becomes root, and how one logs in: sudoers(5), doas.conf(5), sshd_config(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from douane_guest.errors import TooMuch
from douane_guest.facts.ssh import settings_of
from douane_guest.volume import Item

from .rules import Finding
from .system import System, item_place

CLOUD_USERS = (
    *("root", "debian", "ubuntu", "fedora", "centos", "rocky", "almalinux", "cloud-user", "ec2-user", "cloud"),
    *("alpine", "opc", "core", "azureuser"),
)
SUDOERS = ("etc/sudoers", "etc/sudoers-rs", "usr/etc/sudoers", "etc/sudoers.d/*")
MAX_SUDOERS = 256
"""Files: one may include others."""

SUDOERS_COMMENT = re.compile(r"#(?!-?[0-9]).*")
"""``#1000`` is a user, and ``%#1000`` a group."""

_INCLUDE = re.compile(r"^[ \t]*[@#]include(dir)?[ \t]+(.+)", re.MULTILINE)
_EXEMPT = re.compile(r"\bexempt_group[ \t]*\+?=[ \t]*\"?([^\s\",]+)")
DOAS = ("etc/doas.conf", "etc/doas.d/*.conf")
_DOAS_WORD = re.compile(r"[{}]|\"[^\"]*\"|[^\s{}\"]+")
_DOAS_OPTIONS = ("nopass", "nolog", "persist", "keepenv")
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
        # What stands below Match replaces, for whom it is about, what stands outside.
        if finding and (first or setting.conditional):
            yield Finding(finding[0], system.place(setting.path), f"{setting.word} {setting.value} {finding[1]}")


def check_sudo(system: System, added: list[str]) -> Iterator[Finding]:
    """Accounts and groups that become root without a password. `added`: further users that may."""
    allowed = {*CLOUD_USERS, *added}
    for item in system.items(*CLOUD_SETTINGS):
        allowed |= set(_DEFAULT_USER.findall(system.text(item.path)))
    for item in _sudoers(system):
        for line in system.lines(item.path, SUDOERS_COMMENT):
            users = users_without_password(line)
            if line.startswith("Defaults") and "!authenticate" in line.replace(" ", ""):
                users = ["everybody in sudoers"]
            yield from _become_root(item_place(item), [user for user in users if user not in allowed])
    for item in system.items(*DOAS):
        for line in system.lines(item.path):
            if (user := user_without_password(line)) and user not in allowed:
                yield from _become_root(item_place(item), [line[:60]])


def _sudoers(system: System) -> Iterator[Item]:
    """The files that sudo reads, each once: those in the usual places, and those that they include."""
    waiting, visited = list(SUDOERS), set()
    while waiting:
        pattern = waiting.pop(0)
        for item in system.items(pattern):
            name = item.path.rpartition("/")[2]
            if pattern.endswith("/*") and ("." in name or name.endswith("~")):
                continue  # sudo leaves them out
            if item.path in visited:
                continue
            visited.add(item.path)
            if len(visited) > MAX_SUDOERS:
                raise TooMuch(f"sudo reads more than the {MAX_SUDOERS} files that are looked at")
            yield item
            for folder, name in _INCLUDE.findall(system.text(item.path)):
                path = name.strip(' \t\r"')
                path = path if path.startswith("/") else f"{item.path.rpartition('/')[0]}/{path}"
                waiting.append(f"{_literal(path)}/*" if folder else _literal(path))


def _literal(path: str) -> str:
    """A pattern that matches this path alone. ``%h`` is the name of the host, whatever that will be."""
    return re.sub(r"([*?[])", r"[\1]", path).replace("%h", "*")


def users_without_password(line: str) -> list[str]:
    """The users and groups that a line of sudoers lets run everything without a password."""
    head, _, rights = line.partition("=")
    if line.startswith("Defaults"):
        return [f"%{group}" for group in _EXEMPT.findall(line)]
    if "NOPASSWD" not in rights:
        return []
    _, *tags = _TAG.split(_RUN_AS.sub("", rights))
    if not any(
        tag == "NOPASSWD" and _ALL.search(commands) for tag, commands in zip(tags[::2], tags[1::2], strict=True)
    ):
        return []
    users = " ".join(head.split()).replace(" ,", ",").replace(", ", ",").partition(" ")[0]
    return users.split(",")


def user_without_password(line: str) -> str:
    """The user, or ``:group``, that a line of doas.conf makes root without a password; empty if it does not."""
    words = [word.strip('"') for word in _DOAS_WORD.findall(line)]
    if not words or words.pop(0) != "permit":
        return ""
    has_password = True
    while words and words[0] in (*_DOAS_OPTIONS, "setenv"):
        option = words.pop(0)
        has_password = has_password and option != "nopass"
        if option == "setenv":
            words = words[words.index("}") + 1 :] if "}" in words else []
    user, rest = (words[0], words[1:]) if words else ("", [])
    target = rest[1] if rest[:1] == ["as"] and len(rest) > 1 else "root"
    return "" if has_password or "cmd" in rest or target not in ("root", "0") else user


def _become_root(place: str, users: list[str]) -> Iterator[Finding]:
    for user in users:
        yield Finding("sudo-nopasswd", place, f"{user} becomes root without a password; remove the line")
