"""The rules: those of Douane, and what the operator adds, as tables of TOML. Nothing is matched here."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field

from douane.plugins._judgement import ALLOW, NOTE, REFUSE, SEVERITIES, WARN

from .checks import CHECKS
from .paths import compile_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BUILT_IN = os.path.join(os.path.dirname(__file__), "rules.toml")
WORDS = (*SEVERITIES, ALLOW)
WEAKER = {REFUSE: WARN, WARN: NOTE, NOTE: NOTE, ALLOW: ALLOW}
"""What a secret behind a passphrase, or one that is unconfirmed, means by default."""

MAX_RULES, MAX_AROUND = 1000, 1 << 18
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
SHA256, FINGERPRINT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Rule:
    """What a kind of secret looks like."""

    id: str
    what: str
    anchor: bytes | None
    """An expression that is sought in all bytes; without it, the files at `paths` are looked through, in windows of
    `after` bytes."""

    value: re.Pattern[bytes]
    """The whole of it, in the bytes around the anchor's end. Its group `secret` is the secret."""

    paths: re.Pattern[str] | None
    check: str | None
    entropy: float
    severity: str
    weaker: str
    length_before: int
    length_after: int
    near: bool
    """The value need not stand at the anchor."""

    first: bool
    """One is enough for a file."""

    fingerprint: bool
    """False for what people think up: the digest of a password tells it to who guesses."""


@dataclass(frozen=True)
class Place:
    """Where a secret means at most `severity`."""

    why: str
    severity: str
    paths: re.Pattern[str]
    programs: bool
    """Only in files that begin as a program does."""


@dataclass
class Allowed:
    """What is no matter: by path, by the SHA-256 of a file, by the fingerprint of a secret, by a part of a secret."""

    paths: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    texts: list[bytes] = field(default_factory=list)


@dataclass
class RuleSet:
    """Rules by id: a later rule replaces an earlier one of the same id."""

    rules: dict[str, Rule] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    allowed: Allowed = field(default_factory=Allowed)
    _sum: Any = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        """The SHA-256 of the files."""
        return str(self._sum.hexdigest())

    def add(self, data: bytes, origin: str) -> None:
        """Add the tables of a file. Raises ValueError with a sentence."""
        import tomllib

        self._sum.update(b"%d\n" % len(data) + data)
        try:
            document = tomllib.loads(data.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{origin} is no TOML: {error}") from None
        _check_keys(document, {"rule", "place", "allow"}, origin)
        for number, table in enumerate(_tables(document, "rule", origin), 1):
            rule = _rule(table, f"{origin}, rule {number}")
            self.rules[rule.id] = rule
        if len(self.rules) > MAX_RULES:
            raise ValueError(f"there are {len(self.rules)} rules; at most {MAX_RULES} are allowed")
        for number, table in enumerate(_tables(document, "place", origin), 1):
            self.places.append(_place(table, f"{origin}, place {number}"))
        self._allow(document.get("allow", {}), f"{origin}, allow")

    def _allow(self, table: Any, origin: str) -> None:
        if not isinstance(table, dict):
            raise ValueError(f"{origin}: write [allow], with one bracket")
        _check_keys(table, {"paths", "files", "secrets", "texts"}, origin)
        values = {key: _texts(table, key, origin) for key in table}
        for key, form in (("files", SHA256), ("secrets", FINGERPRINT)):
            for text in values.get(key, []):
                if not form.fullmatch(text):
                    raise ValueError(f"{origin}: {text!r:.80} is none of {key}: they look like {form.pattern}")
        self.allowed.paths += values.get("paths", [])
        self.allowed.files.update(values.get("files", []))
        self.allowed.secrets.update(values.get("secrets", []))
        self.allowed.texts += [text.encode() for text in values.get("texts", [])]


def built_in_rules() -> RuleSet:
    """The rules of Douane."""
    rules = RuleSet()
    with open(BUILT_IN, "rb") as file:
        rules.add(file.read(), "rules.toml")
    return rules


def add_granted(rules: RuleSet, grant: Any) -> None:
    """Add what the operator grants: a file, or a folder of files ``*.toml`` in the order of their names."""
    if hasattr(grant, "read"):
        grant.seek(0)
        rules.add(grant.read(), "the granted rules")
        return
    folder = os.fspath(grant)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))
    if not names:
        raise ValueError("the granted folder has no file that ends with .toml")
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            rules.add(file.read(), name)


def _rule(table: Mapping[str, Any], origin: str) -> Rule:
    types = {
        "id": str, "what": str, "anchor": str, "value": str, "check": str, "entropy": float, "severity": str,
        "weaker": str, "before": int, "after": int, "near": bool, "first": bool, "fingerprint": bool,
    }  # fmt: skip
    _check_keys(table, {*types, "paths"}, origin)
    for key, kind in types.items():
        if key in table and type(table[key]) is not kind:
            raise ValueError(f"{origin}: {key!r} is of the type {kind.__name__}, not {table[key]!r:.80}")
    if not ID.fullmatch(table.get("id", "")):
        raise ValueError(f"{origin}: 'id' is a name of a-z, 0-9 and -, not {table.get('id')!r:.80}")
    if not table.get("what"):
        raise ValueError(f"{origin}: 'what' says in words what the secret is")
    anchor, paths = table.get("anchor"), _texts(table, "paths", origin)
    if not anchor and not (paths and table.get("value")):
        raise ValueError(f"{origin}: a rule has 'anchor', or 'paths' and 'value'")
    severity = _severity(table.get("severity", REFUSE), origin)
    check = table.get("check")
    if check is not None and check not in CHECKS:
        raise ValueError(f"{origin}: there is no check {check!r:.80}; there are {', '.join(sorted(CHECKS))}")
    lengths = table.get("before", 256), table.get("after", 384)
    if not all(0 <= length <= MAX_AROUND for length in lengths):
        raise ValueError(f"{origin}: 'before' and 'after' are bytes, at most {MAX_AROUND}")
    return Rule(
        id=table["id"],
        what=table["what"],
        anchor=anchor.encode() if anchor else None,
        value=_expression(table.get("value", anchor), origin),
        paths=compile_paths(paths) if paths else None,
        check=check,
        entropy=table.get("entropy", 0.0),
        severity=severity,
        weaker=_severity(table.get("weaker", WEAKER[severity]), origin),
        length_before=lengths[0],
        length_after=lengths[1],
        near=table.get("near", False),
        first=table.get("first", False),
        fingerprint=table.get("fingerprint", True),
    )


def _expression(text: str, origin: str) -> re.Pattern[bytes]:
    try:
        return re.compile(text.encode())
    except re.error as error:
        raise ValueError(f"{origin}: 'value' is no expression: {error}") from None


def _place(table: Mapping[str, Any], origin: str) -> Place:
    _check_keys(table, {"why", "severity", "paths", "programs"}, origin)
    paths = _texts(table, "paths", origin)
    if not paths or not isinstance(table.get("why"), str):
        raise ValueError(f"{origin}: a place has 'paths', and 'why'")
    programs = table.get("programs", False)
    if not isinstance(programs, bool):
        raise ValueError(f"{origin}: 'programs' is true or false")
    return Place(table["why"], _severity(table.get("severity"), origin), compile_paths(paths), programs)


def _severity(word: Any, origin: str) -> str:
    if word not in WORDS:
        raise ValueError(f"{origin}: a severity is one of {', '.join(WORDS)}, not {word!r:.80}")
    return str(word)


def _texts(table: Mapping[str, Any], key: str, origin: str) -> list[str]:
    values = table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise ValueError(f"{origin}: {key!r} is a list of texts")
    return values


def _tables(document: Mapping[str, Any], name: str, origin: str) -> list[dict[str, Any]]:
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{origin}: write [[{name}]], with two brackets: there may be several")
    return tables


def _check_keys(table: Mapping[str, Any], names: set[str], origin: str) -> None:
    unknown = sorted(set(table) - names)
    if unknown:
        raise ValueError(f"{origin}: {unknown[0]!r} is no key; the keys are {', '.join(sorted(names))}")
