"""How bad a secret is where it stands, and how it is told without being shown."""

from __future__ import annotations

import hashlib

from douane.plugins._judgement import ALLOW, SEVERITIES

from .keys import CONFIRMED
from .paths import compile_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from douane.plugins._judgement import Judgement
    from douane_plugin import ImageFile

    from .matching import Hit
    from .rules import RuleSet

CODE = "secret-found"
RANKS = (*SEVERITIES, ALLOW)
"""From the worst."""

STATES = {"encrypted": " behind a passphrase", "locked": ", which is locked", "unconfirmed": " (unconfirmed)"}
PROGRAM_HEADS = (b"\x7fELF", b"MZ", b"!<arch>\n", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""ELF, Windows, archives of objects, macOS."""

HEAD_LENGTH = max(map(len, PROGRAM_HEADS))
FINGERPRINT_LENGTH = 16
"""Hexadecimal digits: enough to name a secret in a list."""

MASK = "***"


class Head:
    """The pieces of a file as they pass, and its first bytes."""

    def __init__(self, pieces: Iterable[tuple[int, memoryview]]) -> None:
        self._pieces = pieces
        self.bytes = b""

    def __iter__(self) -> Iterator[tuple[int, memoryview]]:
        for offset, piece in self._pieces:
            if offset < HEAD_LENGTH:
                self.bytes = (self.bytes.ljust(offset, b"\0") + bytes(piece[:HEAD_LENGTH]))[:HEAD_LENGTH]
            yield offset, piece


class Meaning:
    """What the rules, the places and the operator say of a secret."""

    def __init__(self, rules: RuleSet, severity: Mapping[str, str], allow_paths: Iterable[str]) -> None:
        self._severity = dict(severity)
        self._places = rules.places
        self._allowed = rules.allowed
        self._allowed_paths = compile_paths([*rules.allowed.paths, *allow_paths])

    def is_allowed(self, path: str) -> bool:
        """True for a file in which no secret matters."""
        return bool(self._allowed_paths.fullmatch(path))

    def is_allowed_digest(self, file: ImageFile) -> bool:
        """The same, by what is in it."""
        return bool(self._allowed.files) and file.digest in self._allowed.files

    def record(self, judgement: Judgement, file: ImageFile, place: str, hit: Hit, head: bytes) -> None:
        """Record a secret at a `place` for people, unless it is allowed."""
        name = fingerprint(hit.secret)
        severity, why = self.judge(hit, file.path, head)
        if severity == ALLOW or name in self._allowed.secrets:
            return
        facts: dict[str, str | int] = {"rule": hit.rule.id, "offset": hit.offset}
        if hit.rule.fingerprint:
            facts["fingerprint"] = name
        if hit.state:
            facts["state"] = hit.state
        if why:
            facts["place_is"] = why
        what = hit.rule.what + STATES.get(hit.state, "")
        sentence = f"it holds {what} (offset {hit.offset}), remove it"
        judgement.match(severity, CODE, place, sentence, **facts)

    def judge(self, hit: Hit, path: str, head: bytes) -> tuple[str, str]:
        """The severity, and the place that lowers it."""
        usual = hit.rule.severity if hit.state == CONFIRMED else hit.rule.weaker
        severity, why = self._severity.get(hit.rule.id, usual), ""
        for place in self._places:
            is_lower = RANKS.index(place.severity) > RANKS.index(severity)
            if is_lower and place.paths.fullmatch(path) and (not place.programs or head.startswith(PROGRAM_HEADS)):
                severity, why = place.severity, place.why
        return severity, why


def fingerprint(secret: bytes) -> str:
    """A name for a secret: the operator finds the same one in several images by it, and allows it."""
    return hashlib.sha256(secret).hexdigest()[:FINGERPRINT_LENGTH]


def shown(file: ImageFile) -> str:
    """Where a file is, for people."""
    return f"{file.volume}:{file.path}" if file.volume else file.path


def masked(place: str, hits: Iterable[Hit]) -> str:
    """The place without the secrets, if one of them stands in a name."""
    for secret in sorted({hit.secret for hit in hits}, key=len, reverse=True):
        place = place.replace(secret.decode("utf-8", "surrogateescape"), MASK)
    return place
