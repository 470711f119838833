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
_BSDI = re.compile(r"_[./0-9A-Za-z]{19}")


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


def accounts_of(tree: Tree, budget: Budget | None = None) -> list[Account]:
    """The accounts in the order of passwd; none if there is no such file."""
    return [account for account, _ in accounts_with_fields(tree, budget)]


def accounts_with_fields(tree: Tree, budget: Budget | None = None) -> list[tuple[Account, str]]:
    """The same, each with its field of shadow, to try passwords on. It is a secret: show it nowhere."""
    shadow = {row[0]: row[1] for row in _rows(tree, "etc/shadow", 2, budget)}
    accounts = []
    for name, field, uid, _, _, home, shell in _rows(tree, "etc/passwd", 7, budget):
        password = shadow.get(name, "*") if field == "x" else field
        accounts.append((Account(name, uid, home, shell, *password_of(password)), password))
    return accounts


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
    if _BSDI.fullmatch(field):
        return "bsdi"
    # crypt(3) knows no such hash, so no password fits; a setting of another kind is better shown than hidden.
    return "unknown" if field.startswith("$") else ""


def _rows(tree: Tree, path: str, least: int, budget: Budget | None) -> Iterator[list[str]]:
    data = try_read(tree, path, TEXT) or b""
    for line in data.split(b"\n"):
        if budget is not None:
            budget.step()
        fields = to_text(line).split(":")
        if len(fields) >= least and fields[0] and not fields[0].startswith("#"):
            yield fields[:least]
