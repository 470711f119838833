"""Whether a summary is genuine, and about certain bytes. It needs the public key and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec

from douane.errors import NotVerified
from douane.plugins.attestations.envelope import Envelope
from douane.plugins.attestations.keys import PublicKeys
from douane.plugins.attestations.statement import ALGORITHMS, Statement

from .summary import LEVEL, PASSED, PREDICATE_TYPE

MAX_SUMMARY_BYTES = 8 << 20
_PIECE_BYTES = 1 << 20
_AGREED = ("accepted", "stopped")
"""Outcomes of plugins; the second is of a reader of files, or an auditor, that nobody waited for."""


class VerifiedSummary(msgspec.Struct, frozen=True):
    """What a genuine summary says of the bytes that it is about."""

    key_id: str
    """The fingerprint of the key that signed."""

    verifier: str
    """The URI of the site whose plan let the image in."""

    time: str
    """When, as RFC 3339."""

    image: str
    """The image, as a URI."""

    plan_sha256: str | None
    """The digest of the plan."""

    overruled: list[str]
    """The plugins that did not accept the image, each with its outcome and mode: the plan let it in all the same."""

    predicate: dict[str, Any]
    """All that it says."""


def digests_of(file: BinaryIO) -> dict[str, str]:
    """The digests (hex) of a file by which a summary may name it, taken in one pass."""
    hashes = {name: hashlib.new(name) for name in ALGORITHMS}
    while piece := file.read(_PIECE_BYTES):
        for digest in hashes.values():
            digest.update(piece)
    return {name: digest.hexdigest() for name, digest in hashes.items()}


def verify_summary(
    data: bytes, keys: PublicKeys, digests: Mapping[str, str], verifier: str | None = None
) -> VerifiedSummary:
    """What the summary `data` says of the bytes with these `digests`, by a site named `verifier` if that is given.

    Raises NotVerified.
    """
    try:
        envelope = Envelope.parse(data)
        key_id = envelope.signer(keys)
        if key_id is None:
            raise NotVerified("no trusted key has signed the summary", code="summary-untrusted")
        statement = Statement.parse(envelope.kind, envelope.payload)
    except ValueError as error:
        raise NotVerified(f"the summary cannot be read: {error}") from error
    summary = _summary_of(statement, key_id)
    if verifier is not None and summary.verifier != verifier:
        raise NotVerified(f"the summary is of another site, {summary.verifier!r:.200}", code="summary-verifier")
    if not statement.is_about(digests):
        raise NotVerified(_other_bytes(statement.predicate, digests), code="summary-subject")
    return summary


def _summary_of(statement: Statement, key_id: str) -> VerifiedSummary:
    predicate = statement.predicate
    if statement.predicate_type != PREDICATE_TYPE:
        raise NotVerified(f"the statement is no verification summary, but a {statement.predicate_type!r:.100}")
    levels = predicate.get("verifiedLevels")
    if predicate.get("verificationResult") != PASSED or not isinstance(levels, list) or LEVEL not in levels:
        raise NotVerified("the summary does not say that the image was let in", code="summary-result")
    digest = _table(_table(predicate, "policy"), "digest").get("sha256")
    texts = (_table(predicate, "verifier").get("id"), predicate.get("timeVerified"), predicate.get("resourceUri"))
    if not all(isinstance(text, str) for text in texts):
        raise NotVerified("the summary lacks its verifier, time or image")
    site, time, image = map(str, texts)
    plan = digest if isinstance(digest, str) else None
    return VerifiedSummary(key_id, site, time, image, plan, _overruled(predicate), predicate)


def _overruled(predicate: Mapping[str, Any]) -> list[str]:
    plugins = predicate.get("douane_plugins")
    entries = [entry for entry in plugins if isinstance(entry, dict)] if isinstance(plugins, list) else []
    others = [entry for entry in entries if entry.get("outcome") not in _AGREED]
    return [f"{entry.get('name')!s:.100} ({entry.get('outcome')!s:.20}, {entry.get('mode')!s:.20})" for entry in others]


def _other_bytes(predicate: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    received = _table(_table(predicate, "douane_received"), "digest")
    if any(received.get(name) == value for name, value in digests.items()):
        return "these are the bytes that were received; the summary is about the image that was made of them and stored"
    return "the summary is about other bytes than these"


def _table(predicate: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = predicate.get(key)
    return value if isinstance(value, dict) else {}
