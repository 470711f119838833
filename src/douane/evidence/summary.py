"""The statement of a summary: which bytes, what judged them, and by which rules.

It is meant for everybody: it has digests of code, settings and granted files, and no paths, settings or findings.
"""

from __future__ import annotations

import datetime
from typing import Any

from douane import __version__
from douane.plan.model import EvidenceSettings
from douane.plugins.attestations.statement import TYPE
from douane.report import Bytes, Report, Verdict

PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"
PASSED = "PASSED"
LEVEL = "DOUANE_ACCEPTED"
"""SLSA lets verifiers have levels of their own: this one says that a plan of Douane let the image in."""


def statement_of(settings: EvidenceSettings, report: Report, image_id: str, name: str | None) -> dict[str, Any]:
    """The statement about the image as stored, which `report` accepted."""
    predicate: dict[str, Any] = {
        "verifier": {"id": settings.verifier, "version": {"douane": __version__}},
        "timeVerified": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "resourceUri": f"urn:uuid:{image_id}",
        "policy": _policy(settings, report),
        "inputAttestations": [],
        "verificationResult": PASSED,
        "verifiedLevels": [LEVEL],
        "slsaVersion": "1.0",
        "douane_image": {
            "disk_format": report.disk_format,
            "container_format": report.container_format,
            "virtual_size": report.virtual_size,
            "sandbox": report.sandbox,
        },
        "douane_received": _bytes(report.received),
        "douane_stored": _bytes(report.stored),
        "douane_plugins": [_plugin(verdict) for verdict in [*report.verdicts, *report.readers]],
    }
    subject = {"name": name or image_id, "digest": report.stored.digests()}
    return {"_type": TYPE, "subject": [subject], "predicateType": PREDICATE_TYPE, "predicate": predicate}


def _policy(settings: EvidenceSettings, report: Report) -> dict[str, Any]:
    uri = {} if settings.policy_uri is None else {"uri": settings.policy_uri}
    return {**uri, "digest": {"sha256": report.plan_sha256}}


def _bytes(side: Bytes) -> dict[str, Any]:
    return {"size": side.size, "digest": side.digests()}


def _plugin(verdict: Verdict) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": verdict.plugin, "outcome": verdict.outcome, "mode": verdict.mode}
    if verdict.ran is None:
        return facts
    ran = verdict.ran
    return facts | {
        "version": ran.version,
        "code_sha256": ran.code_sha256,
        "config_sha256": ran.config_sha256,
        "grants": {name: grant.sha256 for name, grant in ran.grants.items()},
    }
