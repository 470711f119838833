"""A keyed tag over an image's id, its digest and its plugins' properties: without the key, nobody can make one.

The digest is Glance's own (`os_hash_algo`, `os_hash_value`), so that a proof is about these bytes. The tag covers all
properties in the namespaces of the plugins, so that a property that is added, changed or removed shows.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from douane.glance.image_metadata import has_namespace
from douane.glance.outcome import OUTCOME_PROPERTIES, PROOF

_VERSION = "1"
_FORM = re.compile(
    r"1:(?P<algorithm>[a-z0-9_-]{1,32}):(?P<plugins>[a-z0-9_,-]{0,4096}):(?P<tag>[0-9a-f]{64})", re.ASCII
)


@dataclass(frozen=True)
class Subject:
    """What a proof is about. `properties` are all of the image's, as text; `digest` is hex."""

    image: str
    algorithm: str
    digest: str
    properties: Mapping[str, str]


class Result(StrEnum):
    """What an image's properties say."""

    PROVEN = "proven"
    """Douane has accepted these bytes as this image, and has written these properties."""
    UNPROVEN = "unproven"
    """There is no proof."""
    FALSE = "false"
    """There is a proof, and it is not one for this image as it is."""


@dataclass(frozen=True)
class Verification:
    """The result for one image, and the reason, for the operator."""

    result: Result
    detail: str


def make_proof(key: bytes, subject: Subject, plugins: Collection[str]) -> str:
    """The value of the property `douane_proof`; `plugins` are those whose properties it covers."""
    names = sorted(plugins)
    return ":".join((_VERSION, subject.algorithm, ",".join(names), _tag(key, subject, names)))


def verify(keys: Iterable[bytes], subject: Subject, plugins: Collection[str]) -> Verification:
    """Check the image's proof with each of `keys`. `plugins` are those of the present plan: their properties are
    Douane's, too, although a proof of an earlier plan cannot cover them."""
    proof = subject.properties.get(PROOF)
    claims = [name for name in subject.properties if has_namespace(name, plugins) or name in OUTCOME_PROPERTIES]
    if proof is None:
        detail = "no proof: not inspected with this key, or the proof was removed"
        return Verification(
            Result.UNPROVEN, detail + (f"; anybody may have written {', '.join(claims)}" if claims else "")
        )
    form = _FORM.fullmatch(proof)
    if form is None:
        return Verification(Result.FALSE, "the proof is no proof of Douane's")
    if form["algorithm"] != subject.algorithm:
        return Verification(
            Result.FALSE,
            f"the proof is about a {form['algorithm']} digest, and Glance has {subject.algorithm or 'none'}",
        )
    covered = [name for name in form["plugins"].split(",") if name]
    if not any(hmac.compare_digest(_tag(key, subject, covered), form["tag"]) for key in keys):
        return Verification(
            Result.FALSE,
            "the proof is not for this image as it is: another key, another image, other bytes, or changed properties",
        )
    foreign = [name for name in claims if not has_namespace(name, covered)]
    if foreign:
        return Verification(Result.FALSE, f"the proof does not cover {', '.join(foreign)}, which look like Douane's")
    return Verification(Result.PROVEN, f"accepted, with {', '.join(covered) or 'no properties of plugins'}")


def _tag(key: bytes, subject: Subject, plugins: Collection[str]) -> str:
    covered = sorted((name, value) for name, value in subject.properties.items() if has_namespace(name, plugins))
    parts = [_VERSION, subject.image, subject.algorithm, subject.digest, list(plugins), covered]
    return hmac.new(key, json.dumps(parts).encode(), hashlib.sha256).hexdigest()
