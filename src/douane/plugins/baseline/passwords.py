"""The accounts, and whether their passwords are such that everybody knows them."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.facts.accounts import EMPTY, SET

from .crypt import Crypt, NotTried, open_libcrypt
from .rules import Finding
from .system import System

WELL_KNOWN = (
    *(
        "",
        "root",
        "toor",
        "admin",
        "administrator",
        "password",
        "passw0rd",
        "Password1",
        "changeme",
        "default",
        "secret",
    ),
    *("vagrant", "packer", "cloud", "linux", "test", "guest", "user", "1234", "12345", "123456", "12345678", "qwerty"),
    *("ubuntu", "debian", "fedora", "centos", "alpine", "cirros", "gocubsgo", "cubswin:)"),
)
"""The passwords of builders, of images with a published one (the last three are CirrOS'), and the most used ones."""
MAX_ADDED = 32
MAX_ACCOUNTS = 4
"""Hashes on which passwords are tried: yescrypt takes 23 ms a password, so these take 3 seconds of a processor."""

BUILDERS = ("packer", "vagrant")
SHADOW, PASSWD = "/etc/shadow", "/etc/passwd"


class Passwords:
    """Tries passwords on hashes."""

    def __init__(self, added: list[str]) -> None:
        if len(added) > MAX_ADDED:
            raise ValueError(f"'passwords' has {len(added)} passwords; {MAX_ADDED} may be added")
        self._candidates = (*WELL_KNOWN, *added)
        self._crypt = Crypt(open_libcrypt())

    def check(self, system: System, not_tried: list[tuple[str, str]]) -> Iterator[Finding]:
        """What is wrong with the passwords of a system. `not_tried` gets the places of accounts on which none was
        tried, with the reasons."""
        usable = 0
        for account, field in system.accounts:
            if account.password == EMPTY:
                yield _finding(system, "empty-password", account.name, "needs no password")
            if account.password != SET:
                continue
            usable += 1
            if account.is_root:
                yield _finding(system, "root-password", account.name, "has a password")
            else:
                yield _finding(system, "account-password", account.name, "has a password")
            try:
                is_well_known = self._is_well_known(account.name, field, usable)
            except NotTried as error:
                not_tried.append((system.place(f"{SHADOW}: {account.name}"), str(error)))
                continue
            if is_well_known:
                yield _finding(system, "default-password", account.name, "has a well-known password")

    def _is_well_known(self, name: str, field: str, number: int) -> bool:
        """`number`: how many accounts with a password there are up to this one."""
        if number > MAX_ACCOUNTS:
            raise NotTried(f"more than {MAX_ACCOUNTS} accounts have a password")
        return any(self._crypt.hashed(word, field) == field for word in (name, *self._candidates))


def _finding(system: System, rule: str, name: str, what: str) -> Finding:
    return Finding(rule, system.place(SHADOW), f"the account {name} {what}; lock it: passwd --lock {name}")


def check_accounts(system: System) -> Iterator[Finding]:
    """Accounts that should not be there."""
    place = system.place(PASSWD)
    for account, _ in system.accounts:
        if account.is_root and account.name != "root":
            yield Finding("second-root", place, f"the account {account.name} has uid 0, as root; remove it")
        if account.name in BUILDERS:
            why = f"the account {account.name} is a builder's; remove it: userdel --remove {account.name}"
            yield Finding("builder-account", place, why)
