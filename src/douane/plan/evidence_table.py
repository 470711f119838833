"""Read the table ``[evidence]`` of a plan: who signs the summary of an accepted image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from douane.errors import PlanError

from .model import EvidenceSettings
from .wrong_value import wrong_value

PKCS11 = "pkcs11:"


class EvidenceTable(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written."""

    key: str
    verifier: str
    password_file: str | None = None
    policy_uri: str | None = None


def read_evidence(table: Mapping[str, Any], where: str, base: str, digests: tuple[str, ...]) -> EvidenceSettings:
    """The settings in a table that has no other keys than :class:`EvidenceTable`; relative paths begin at `base`.

    `digests` are those that the plan takes of the image as stored. Raises PlanError.
    """
    for key in ("key", "verifier"):
        if key not in table:
            raise PlanError(f"{where}: [evidence] has no {key!r}")
    try:
        raw = msgspec.convert(table, EvidenceTable)
    except msgspec.ValidationError as error:
        key, words = wrong_value(error, EvidenceTable)
        raise PlanError(f"{where}: [evidence] {key!r} is wrong: {words}") from error
    for key in ("verifier", "policy_uri"):
        value = getattr(raw, key)
        if value is not None and ":" not in value:
            raise PlanError(
                f"{where}: [evidence] {key!r} is a URI that names this site to others, such as "
                f"https://images.example.org/douane, not {value!r:.60}"
            )
    if "sha256" not in digests:
        raise PlanError(
            f"{where}: [evidence] names an image by its SHA-256, which [import] digests leaves out; add sha256 there"
        )
    return EvidenceSettings(
        key=raw.key if raw.key.startswith(PKCS11) else _path(base, raw.key),
        verifier=raw.verifier,
        password_file=None if raw.password_file is None else _path(base, raw.password_file),
        policy_uri=raw.policy_uri,
    )


def _path(base: str, text: str) -> str:
    return os.path.join(base, os.path.expanduser(text))
