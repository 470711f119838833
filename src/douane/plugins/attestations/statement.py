"""Statements of in-toto: a predicate about bytes, which are named by their digests."""

from __future__ import annotations

import hashlib

from . import strict_json
from .envelope import IN_TOTO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TYPE = "https://in-toto.io/Statement/v1"
_TYPES = (TYPE, "https://in-toto.io/Statement/v0.1")
ALGORITHMS = ("sha256", "sha512")
"""The digests of a subject that count: no others of SHA-2 are in use, and the rest (SHA-1, a commit of git) can be
forged, or are of something else."""

MAX_SUBJECTS = 10_000


class Statement:
    """`predicate`, of the type `predicate_type`, and the `subjects`: the digests of each, in hex, by algorithm."""

    def __init__(self, subjects: list[dict[str, str]], predicate_type: str, predicate: dict[str, Any]) -> None:
        self.subjects, self.predicate_type, self.predicate = subjects, predicate_type, predicate

    @classmethod
    def parse(cls, kind: str, payload: bytes) -> Statement:
        """The statement in a payload of the type `kind`. Raises ValueError, with a clause."""
        if kind != IN_TOTO:
            raise ValueError(f"its payload is of the type {kind!r:.80}, and not {IN_TOTO}")
        table = strict_json.parse(payload, "the statement")
        if not isinstance(table, dict) or table.get("_type") not in _TYPES:
            raise ValueError("its payload is no statement of in-toto")
        subjects, predicate = table.get("subject"), table.get("predicate", {})
        if not isinstance(subjects, list) or not 1 <= len(subjects) <= MAX_SUBJECTS:
            raise ValueError(f"its statement has not 1 to {MAX_SUBJECTS} subjects")
        if not isinstance(table.get("predicateType"), str) or not isinstance(predicate, dict):
            raise ValueError("its statement has no predicate with a type")
        return cls([_digests(subject) for subject in subjects], table["predicateType"], predicate)

    def is_about(self, digests: Mapping[str, str]) -> bool:
        """True if a subject has one of `digests` (hex, by algorithm), and none that contradicts them."""
        for subject in self.subjects:
            common = subject.keys() & digests.keys()
            if common and all(subject[name] == digests[name] for name in common):
                return True
        return False


def _digests(subject: Any) -> dict[str, str]:
    digests = subject.get("digest") if isinstance(subject, dict) else None
    if not isinstance(digests, dict) or not all(isinstance(value, str) for value in digests.values()):
        raise ValueError("a subject of its statement has no digests")
    strong = {name: value.lower() for name, value in digests.items() if name in ALGORITHMS}
    for name, value in strong.items():
        if len(value) != 2 * hashlib.new(name).digest_size:
            raise ValueError(f"a subject of its statement has a {name} of {len(value)} digits")
    return strong
