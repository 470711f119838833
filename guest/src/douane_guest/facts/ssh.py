"""Keys of SSH: who may log in with which key (sshd(8), AUTHORIZED_KEYS), and the keys of the host."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from douane_guest.tree import Tree, try_read
from douane_guest.volume import to_text

from . import TEXT
from .accounts import Account

CONFIGURATIONS = ("etc/ssh/sshd_config", "usr/etc/ssh/sshd_config")
"""The second where the first is not there, as in openSUSE."""
DEFAULT_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
HOST_KEYS = ("etc/ssh/ssh_host_*_key", "etc/dropbear/dropbear_*_host_key")
MAX_INCLUDES = 64
_TYPE = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+")
_OPTIONS = re.compile(r'(?:\\"|[^ \t"]|"(?:\\"|[^"])*+")+')
"""A quote behind a backslash is none, whatever is before that (auth-options.c, advance_past_options)."""

_LINE = re.compile(r'[ \t\r]*"?([A-Za-z0-9]+)"?(?:[ \t]*=[ \t]*|[ \t]+)(.*)')
_WORD = re.compile(r"""[ \t]*((?:\\['"\\ ]|"(?:\\['"\\]|[^"])*+"|'(?:\\['"\\]|[^'])*+'|[^ \t"'])+)""")
_QUOTED = re.compile(r"""\\(['"\\ ])|["']""")


class PublicKey(NamedTuple):
    """A public key."""

    type: str
    fingerprint: str
    """As ``ssh-keygen -l`` shows it: ``SHA256:...``."""

    comment: str


class AuthorizedKey(NamedTuple):
    """A key that opens an account."""

    account: str
    path: str
    key: PublicKey


class HostKey(NamedTuple):
    """A private key of the host."""

    path: str
    key: PublicKey | None
    """From the file beside it that ends in ``.pub``, if that is there."""


def authorized_keys_of(tree: Tree, accounts: Iterable[Account]) -> list[AuthorizedKey]:
    """The keys in the files that sshd reads for each account. Lines that sshd would ignore are left out."""
    patterns = key_files(tree)
    keys = []
    for account in accounts:
        for path in dict.fromkeys(_path(pattern, account) for pattern in patterns):
            data = try_read(tree, path, TEXT) if path else None
            for line in (data or b"").split(b"\n"):
                key = parse_line(to_text(line))
                if key is not None:
                    keys.append(AuthorizedKey(account.name, path, key))
    return keys


class Setting(NamedTuple):
    """A line of ``sshd_config`` or of a file that it includes."""

    word: str
    """In small letters: sshd ignores case."""

    values: tuple[str, ...]
    path: str
    conditional: bool
    """It stands below ``Match``: for whom it counts depends on the connection, and for them it counts more than what
    stands outside."""

    @property
    def value(self) -> str:
        """All of them, with blanks between."""
        return " ".join(self.values)


def settings_of(tree: Tree) -> Iterator[Setting]:
    """The settings of sshd, in its order: of a word outside of ``Match``, the first counts."""
    path = next((path for path in CONFIGURATIONS if tree.exists(path)), CONFIGURATIONS[0])
    return _settings(tree, path, [MAX_INCLUDES])


def key_files(tree: Tree) -> tuple[str, ...]:
    """The patterns of ``AuthorizedKeysFile``: the first that sshd finds counts. Those under ``Match`` count as well:
    whom they are for depends on the connection."""
    words = _words_of(tree, "authorizedkeysfile")
    return tuple(word for word in words if word.lower() != "none") or DEFAULT_FILES


def _words_of(tree: Tree, word: str) -> list[str]:
    return [value for setting in settings_of(tree) if setting.word == word for value in setting.values]


def _settings(tree: Tree, path: str, room: list[int], *, conditional: bool = False) -> Iterator[Setting]:
    room[0] -= 1
    data = try_read(tree, path, TEXT) if room[0] >= 0 else None
    for line in to_text(data or b"").split("\n"):
        match = _LINE.match(line)
        if match is None:
            continue
        word, values = match[1].lower(), split_words(match[2])
        if word == "match":
            conditional = True  # `all` as well: what stands there replaces what stands outside
        elif word == "include":
            for pattern in values:
                for item in tree.glob(pattern if pattern.startswith("/") else f"etc/ssh/{pattern}"):
                    yield from _settings(tree, item.path, room, conditional=conditional)
        else:
            yield Setting(word, values, path, conditional)


def split_words(text: str) -> tuple[str, ...]:
    """The words of a line as sshd splits it (misc.c, argv_split): quotes of both kinds hold blanks, and a word that
    begins with ``#`` ends the line."""
    words = []
    for match in _WORD.finditer(text.rstrip(" \t\r\f")):
        if match[1].startswith("#"):
            break
        words.append(_QUOTED.sub(lambda quoted: quoted[1] or "", match[1]))
    return tuple(words)


def _path(pattern: str, account: Account) -> str:
    name = pattern.replace("%h", account.home).replace("%u", account.name).replace("%U", account.uid).replace("%%", "%")
    home = account.home.strip("/")  # sshd starts in /, so that a home without a slash lies there
    return name if name.startswith("/") else f"/{home}/{name}" if home else f"/{name}"


def parse_line(line: str) -> PublicKey | None:
    """A line of authorized_keys, or of a file of a public key; None for one that is no key."""
    words = line.strip()
    if not words or words.startswith("#"):
        return None
    if not _TYPE.match(words):
        options = _OPTIONS.match(words)
        words = words[options.end() :].lstrip() if options else ""
    fields = words.split(None, 2)
    if len(fields) < 2 or not _TYPE.fullmatch(fields[0]):
        return None
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != fields[0].encode():
        return None
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(fields[0], f"SHA256:{digest}", fields[2] if len(fields) > 2 else "")


def host_keys_of(tree: Tree) -> list[HostKey]:
    """The private keys of the host that are in the image, in the usual places and where sshd_config says: each guest
    that starts from it would have the same."""
    paths = [item.path for pattern in HOST_KEYS for item in tree.glob(pattern)]
    paths += [path for path in _words_of(tree, "hostkey") if not path.endswith(".pub")]
    keys: dict[tuple[str, object], HostKey] = {}
    for path in paths:
        try:
            item = tree.stat(path)
        except OSError:
            continue
        if item.node.kind == "file" and item.node.size and (item.volume.name, item.node.ref) not in keys:
            line = try_read(tree, f"{path}.pub", TEXT)
            key = HostKey(item.path, parse_line(to_text(line)) if line is not None else None)
            keys[item.volume.name, item.node.ref] = key
    return list(keys.values())
