"""What an inspector judges by: its code, its settings, what it is granted, and the view through which it looks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from douane.host.base import PluginProcess
from douane.plan.builtin import BUILT_IN, FILES_READER, GUEST_MODULES, JUDGES_BY_DAY, is_one_of
from douane.plan.model import PluginSpec
from douane.plan.resolve import resolve_plugin
from douane.plan.source_scan import Kind
from douane.plugins.packages.clock import today
from douane.report import GrantedContent, Provenance, Report

_SERVICES = ("unix:", "tcp:")


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Digests; two equal ones give the same verdict on the same bytes with the same declared facts."""

    code: str
    config: str
    grants: str
    view: str = ""
    """Of the reader of files, for an inspector that looks into the guest; of the findings, for one that reads those."""

    day: str = ""
    """For an inspector that judges by the calendar, too: the day in UTC."""


class Inspector(msgspec.Struct, frozen=True, kw_only=True):
    """An inspector of the plan as it is today."""

    spec: PluginSpec
    reads: str
    fingerprint: Fingerprint

    @property
    def name(self) -> str:
        """The name in the plan."""
        return self.spec.name

    @property
    def asks_service(self) -> bool:
        """True if it is granted a connection: nobody sees what changes behind that."""
        return any(target.startswith(_SERVICES) for target in self.spec.grants.values())


def inspector_of(process: PluginProcess) -> Inspector:
    """The inspector that `probe` has started and ended."""
    ran = process.provenance()
    view = _reader_digest() if _needs_view(ran) else ""
    fingerprint = fingerprint_of(ran, view)
    return Inspector(spec=process.spec, reads=process.reads, fingerprint=fingerprint)


def recorded_fingerprint(ran: Provenance, report: Report, day: str) -> Fingerprint:
    """Of a verdict in the report of an import on a `day`. A view that the report does not name matches none."""
    view = ""
    if _needs_view(ran):
        readers = [reader.ran.code_sha256 for reader in report.readers if reader.ran is not None]
        view = (readers[-1] if readers else None) or "unknown"
    return fingerprint_of(ran, view, day)


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of any value in a canonical form."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def fingerprint_of(ran: Provenance, view: str, day: str | None = None) -> Fingerprint:
    """Of code that ran, with this view, on a `day`; None: today."""
    return Fingerprint(
        code=f"{ran.code_sha256}:{ran.version}",
        config=ran.config_sha256 or "",
        grants=_grants(ran.grants),
        view=view,
        day=(today() if day is None else day) if is_one_of(ran.use, JUDGES_BY_DAY) else "",
    )


def _grants(grants: Mapping[str, GrantedContent]) -> str:
    """Of a file its content; its time where it is too long for a digest."""
    contents = {
        name: [grant.kind, grant.bytes, grant.sha256, None if grant.sha256 is not None else grant.modified]
        for name, grant in grants.items()
    }
    return digest_of(contents) if contents else ""


def _needs_view(ran: Provenance) -> bool:
    """True if it looks into the guest, and the digest of its code does not cover the package that reads it."""
    module = BUILT_IN.get(ran.use, ran.use).partition(":")[0]
    return ran.reads == "files" or (ran.reads in ("guest", "guest+findings") and module not in GUEST_MODULES)


def _reader_digest() -> str:
    reader = resolve_plugin(PluginSpec(name="guest-files", use=FILES_READER), Kind(is_transform=True, reads_file=True))
    return reader.code.code_sha256
