"""The accounts of a system, and whether one can log in with a password: passwd(5), shadow(5), crypt(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.tree import Tree, try_read
from douane_guest.volume import to_text

from . import TEXT

EMPTY, LOCKED, NONE, SET = "empty", "locked", "none", "set"
"""Of a password: everybody can log in; a hash is there, and disabled; no password fits; it is there."""

_PREFIXES = {
    "$1$": "md5",
    "$2": "bcrypt",
    "$3$": "nt",
    "$5$": "sha256",
    "$6$": "sha512",
    "$7$": "scrypt",
    "$gy$": "gost-yescrypt",
    "$md5": "sunmd5",
    "$sha1": "sha1",
    "$y$": "yescrypt",
}
_DES = re.compile(r"[./0-9A-Za-z]{13}")
_BIGCRYPT = re.compile(r"[./0-9A-Za-z]{13}(?:[./0-9A-Za-z]{11})+")
"""What PAM makes of a long password with DES (pam_unix, bigcrypt.c), and takes by itself for any hash as long."""
_BSDI = re.compile(r"_[./0-9A-Za-z]{19}")


FILES = (
    ("etc/passwd", "etc/shadow"),
    ("var/lib/extrausers/passwd", "var/lib/extrausers/shadow"),
    ("usr/lib/passwd", "usr/lib/shadow"),
)
"""Those of the C library, of libnss-extrausers (Ubuntu Core), and of nss-altfiles (OSTree), in their usual order."""

PASSWD_FIELDS, LEAST_FIELDS = 7, 4
"""Of a line of passwd; and those without which glibc leaves it out (nss/nss_files/files-pwd.c)."""

ROOT = re.compile(r"[ \t]*[+-]?([0-9]*)[ \t]*")
USERS = 1 << 32


class Account(NamedTuple):
    """A line of passwd, and its password."""

    name: str
    uid: str
    home: str
    shell: str
    password: str
    """``empty``, ``locked``, ``none`` or ``set``."""

    hash: str
    """The kind of the hash, if there is one: ``sha512``, ``yescrypt``; ``unknown``."""

    @property
    def is_root(self) -> bool:
        """True for uid 0, as a C library reads it: ``00`` is 0, and for musl so are nothing and 4294967296."""
        match = ROOT.fullmatch(self.uid)
        return match is not None and int(match[1][-4000:] or 0) % USERS == 0


def accounts_of(tree: Tree, budget: Budget | None = None) -> list[Account]:
    """The accounts in the order of passwd; none if there is no such file."""
    return [account for account, _ in accounts_with_fields(tree, budget)]


def accounts_with_fields(tree: Tree, budget: Budget | None = None) -> list[tuple[Account, str]]:
    """The same, each with its field of shadow, to try passwords on. It is a secret: show it nowhere."""
    shadow: dict[str, str] = {}
    for _, path in FILES:
        for name, password, *_ in _rows(tree, path, 2, budget):
            shadow.setdefault(name, password)  # of two lines, getspnam(3) finds the first
    accounts: dict[str, list[tuple[Account, str]]] = {}
    for path, _ in FILES:
        rows = [row for row in _rows(tree, path, LEAST_FIELDS, budget) if row[0] not in accounts]
        for name, field, uid, _, _, home, shell in ([*row, "", "", ""][:PASSWD_FIELDS] for row in rows):
            password = shadow.get(name, "*") if field == "x" else field
            account = Account(name, uid, home, shell, *password_of(password))
            accounts.setdefault(name, []).append((account, password))
    return [pair for pairs in accounts.values() for pair in pairs]


def password_of(field: str) -> tuple[str, str]:
    """The state of a password, and the kind of its hash, from the second field of shadow."""
    if not field:
        return EMPTY, ""
    bare = field.lstrip("!")
    kind = _kind_of(bare)
    if not kind:
        return NONE, ""
    return (SET if bare == field else LOCKED), kind


def _kind_of(field: str) -> str:
    if not field or field.startswith("*") or field in ("x", "LK", "NP"):
        return ""
    for prefix, kind in _PREFIXES.items():
        if field.startswith(prefix):
            return kind
    if _DES.fullmatch(field):
        return "des"
    if _BIGCRYPT.fullmatch(field):
        return "bigcrypt"
    if _BSDI.fullmatch(field):
        return "bsdi"
    # crypt(3) knows no such hash, so no password fits; a setting of another kind is better shown than hidden.
    return "unknown" if field.startswith("$") else ""


def _rows(tree: Tree, path: str, least: int, budget: Budget | None) -> Iterator[list[str]]:
    """The fields of the lines that have at least so many. Blanks before a name are no part of it."""
    data = try_read(tree, path, TEXT) or b""
    for line in data.split(b"\n"):
        if budget is not None:
            budget.step()
        fields = to_text(line).lstrip(" \t\r\f\v").split(":")
        if len(fields) >= least and fields[0] and not fields[0].startswith("#"):
            yield fields
