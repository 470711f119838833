"""One import's page: verdicts, findings, digests, and for the operator what only the operator may read."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from douane.api.documents.records import task_document
from douane.api.identity.rights import Identity
from douane.catalog.records import Image, Task
from douane.units import show_duration, show_exact_size

from .rows import ImportRow, import_row

MAX_TEXT = 20_000
"""Characters of a document, a detail or a log on the page."""
MAX_FINDINGS = 200
MAX_LOG = 500
"""Lines."""


class FindingRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something noticed in the image."""

    code: str = ""
    worth: str = ""
    """``refuse``, ``warn`` or ``pass``."""

    subject: str = ""
    detail: str = ""
    offset: int | None = None

    @property
    def place(self) -> str:
        """The offset for people: ``at byte 1024 (0x400)``."""
        return "" if self.offset is None else f"byte {self.offset} (0x{self.offset:x})"


class VerdictView(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin's answer."""

    plugin: str = ""
    outcome: str = ""
    code: str | None = None
    message: str | None = None
    mode: str = ""
    warnings: list[dict[str, Any]] = []
    properties: dict[str, Any] = {}
    proposed: dict[str, Any] = {}
    documents: dict[str, Any] = {}
    bytes_seen: int = 0
    bytes_total: int | None = None
    seconds: float = 0.0
    ran: dict[str, Any] | None = None
    detail: str | None = None
    decisive: bool = False

    @property
    def bytes_text(self) -> str:
        """How much of the image the plugin read."""
        if self.bytes_total is None or self.bytes_total == self.bytes_seen:
            return show_exact_size(self.bytes_seen)
        return f"{show_exact_size(self.bytes_seen)} of {show_exact_size(self.bytes_total)}"

    @property
    def seconds_text(self) -> str:
        """The time in which it had work."""
        return show_duration(self.seconds)

    @property
    def provenance(self) -> str:
        """The code that ran, for the operator."""
        return _text(self.ran) if self.ran else ""

    @property
    def documents_text(self) -> list[tuple[str, str]]:
        """The documents that it attached, for the operator: name and JSON."""
        return [(name, _text(value)) for name, value in self.documents.items()]


class BytesView(msgspec.Struct, frozen=True, kw_only=True):
    """The image at one end of the run."""

    size: int = 0
    complete: bool = False
    md5: str | None = None
    sha256: str | None = None
    sha512: str | None = None

    @property
    def size_text(self) -> str:
        """Its size, and whether that is all of it."""
        return show_exact_size(self.size) + ("" if self.complete else ", not the whole image")

    @property
    def digests(self) -> list[tuple[str, str]]:
        """Name and digits of each digest."""
        values = (("MD5", self.md5), ("SHA-256", self.sha256), ("SHA-512", self.sha512))
        return [(name, value) for name, value in values if value]


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a report that the page shows; of another form than expected, nothing is shown."""

    verdicts: list[VerdictView] = []
    received: BytesView | None = None
    stored: BytesView | None = None
    disk_format: str | None = None
    container_format: str | None = None
    virtual_size: int | None = None
    seconds: float | None = None
    sandbox: str | None = None
    detail: str | None = None
    """Of a failure of the service: its reason, for the operator."""
    log: list[str] = []
    """Lines of plugins, for the operator."""
    variants: dict[str, ReportView] = {}
    """The runs that made variants of the image, by store."""


class ImportDetail(msgspec.Struct, frozen=True, kw_only=True):
    """An import, as far as the identity may see it."""

    row: ImportRow
    image_status: str
    image_exists: bool
    stores: list[str]
    verdicts: list[VerdictView]
    variants: list[tuple[str, list[VerdictView]]]
    """Verdicts on what a store gets instead of the image, by its id."""

    findings: list[tuple[str, FindingRow]]
    """With the plugin that noticed each."""

    received: BytesView | None
    stored: BytesView | None
    facts: list[tuple[str, str]]
    log: list[str]
    is_operator: bool


def import_detail(task: Task, image: Image | None, identity: Identity) -> ImportDetail:
    """The page's content. What a tenant may not read is not in it, as in the task's document of the API."""
    result = task_document(task, is_admin=identity.is_admin)["result"]
    report = _read(result, ReportView) or ReportView()
    return ImportDetail(
        row=import_row(task, image),
        image_status=image.status if image is not None else "",
        image_exists=image is not None and image.status != "deleted",
        stores=list(task.stores),
        verdicts=report.verdicts,
        variants=[(store, run.verdicts) for store, run in sorted(report.variants.items())],
        findings=findings_of(task.report)[:MAX_FINDINGS],
        received=report.received,
        stored=report.stored,
        facts=_facts(task, report, identity),
        log=[line[:MAX_TEXT] for line in report.log[-MAX_LOG:]] if identity.is_admin else [],
        is_operator=identity.is_admin,
    )


def findings_of(report: Any) -> list[tuple[str, FindingRow]]:
    """The findings in the image that the built-in plugin `format` attached. Documents are the operator's; this one
    holds what the sentences say, with offsets, and a tenant needs it to repair the image."""
    listed = report.get("verdicts") if isinstance(report, dict) else None
    rows: list[tuple[str, FindingRow]] = []
    for verdict in listed if isinstance(listed, list) else []:
        seen = _read(verdict, VerdictView)
        if seen is None or not seen.ran or seen.ran.get("use") != "format":
            continue
        for row in _read(seen.documents.get("findings"), list[FindingRow]) or []:
            rows.append((seen.plugin, row))
    return rows


def _facts(task: Task, report: ReportView, identity: Identity) -> list[tuple[str, str]]:
    size = "" if report.virtual_size is None else show_exact_size(report.virtual_size)
    pairs: list[tuple[str, str | None]] = [
        ("Disk format", report.disk_format),
        ("Container format", report.container_format),
        ("Size of the disk", size),
        ("Duration of the run", "" if report.seconds is None else show_duration(report.seconds)),
        ("Stores", ", ".join(_store_text(task, store) for store in task.stores)),
        ("Requested by", task.user_id),
        ("Request", task.request_id),
    ]
    if identity.is_admin:
        lease = f"{task.worker}, lease until {task.lease_until}" if task.worker else ""
        pairs += [
            ("Reason for the operator", report.detail),
            ("Sandbox", report.sandbox),
            ("Worker", lease),
            ("Attempts", str(task.attempts) if task.attempts else ""),
            ("Step", task.step),
        ]
    return [(name, value) for name, value in pairs if value]


def _store_text(task: Task, store: str) -> str:
    facts = task.variants.get(store)
    return (
        store if facts is None else f"{store} (as {facts.disk_format or 'other bytes'}, {show_exact_size(facts.size)})"
    )


def _read(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _text(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "\n… (cut)"
