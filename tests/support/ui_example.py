"""Imports in every state, as the pages show them: in the catalog of a service that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from douane.catalog import Catalog, ImportRequest, Task
from douane.units import MiB

PLAN: dict[str, Any] = {}
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
BACKING_FILE = (
    "the qcow2 image is not safe: it names the backing file '/etc/passwd'; flatten it (qemu-img convert) and upload "
    "the result"
)


def verdict(plugin: str, outcome: str = "accepted", **fields: Any) -> dict[str, Any]:
    """A plugin's verdict in a report."""
    return {
        "plugin": plugin, "outcome": outcome, "mode": "enforce", "bytes_seen": 2155872256, "bytes_total": 2155872256,
        "seconds": 2.5, "ran": {"use": plugin, "kind": "inspector", "sandbox": "full"}, **fields,
    }  # fmt: skip


REFUSED = {
    "outcome": "refused", "code": "unsafe-backing-file", "message": BACKING_FILE, "seconds": 0.4, "sandbox": "full",
    "received": {"size": 196616, "complete": True, "sha256": SHA256}, "stored": {"size": 0, "complete": False},
    "verdicts": [
        verdict(
            "format", "refused", code="unsafe-backing-file", message=BACKING_FILE, decisive=True, bytes_seen=196616,
            bytes_total=196616, seconds=0.04, documents={"findings": [
                {"code": "backing-file", "worth": "refuse", "subject": "the qcow2 image",
                 "detail": "it names the backing file '/etc/passwd'", "offset": 8},
                {"code": "old-version", "worth": "warn", "subject": "the qcow2 image",
                 "detail": "it has version 2 of the format", "offset": 4},
            ]},
        ),
        verdict(
            "antivirus", "stopped", code="stopped", message="another plugin refused the image", bytes_seen=65536,
            bytes_total=196616, seconds=0.02, mode="warn",
            detail="connected to /run/clamav/clamd.ctl; signatures of 2026-11-28",
        ),
    ],
    "log": ["format: qcow2: backing-file: it names the backing file '/etc/passwd'", "antivirus: 0 signatures matched"],
}  # fmt: skip
ACCEPTED = {
    "outcome": "accepted", "seconds": 14.2, "sandbox": "full", "disk_format": "qcow2", "container_format": "bare",
    "virtual_size": 10 << 30, "received": {"size": 2155872256, "complete": True, "sha256": SHA256},
    "stored": {"size": 2155872256, "complete": True, "sha256": SHA256, "md5": SHA256[:32]},
    "verdicts": [
        verdict("format", properties={"format.disk_format": "qcow2", "format.virtual_size": 10 << 30}),
        verdict("antivirus", warnings=[{"code": "old-signatures", "message": "the signatures are 30 hours old"}]),
    ],
}  # fmt: skip


@dataclass
class Example:
    """The tasks by their state."""

    running: Task
    refused: Task
    accepted: Task
    waiting: Task
    staged: Task
    cancelled: Task


def _stage(catalog: Catalog, project: str) -> Task:
    image = catalog.create_image(name="rescue-iso", owner=project, disk_format="iso", container_format="bare")
    task = catalog.begin_upload(
        image.id, method="glance-direct", plan=PLAN, worker="w", request=ImportRequest(owner=project)
    )
    return catalog.record_staged(task, outcome="accepted", report=ACCEPTED, size=700 * MiB, digests={}, store="file")


def fill(catalog: Catalog, project: str = "local") -> Example:
    """Make the imports."""

    def begin(name: str, method: str = "upload", total: int | None = None) -> Task:
        image = catalog.create_image(name=name, owner=project, disk_format="qcow2", container_format="bare")
        request = ImportRequest(owner=project, user_id="alice", request_id="req-4f1c9a52-6c1f-4d6b-a8d4-37b8a2f40f11")
        return catalog.begin_import(
            image.id, method=method, plan=PLAN, on_failure="requeue", request=request, total=total
        )

    accepted = begin("debian-13-cloud", total=2155872256)
    ready = catalog.ready_to_publish(
        accepted, report=ACCEPTED, size=2155872256, digests={"sha256": SHA256}, disk_format="qcow2",
        container_format="bare", virtual_size=10 << 30,
    )  # fmt: skip
    catalog.activate(ready, ["file"])
    cancelled = begin("wrong-upload")
    catalog.fail(cancelled, outcome="cancelled", code="cancelled", message="The import was cancelled.")
    refused = begin("build-agent-snapshot")
    catalog.fail(refused, outcome="refused", code="unsafe-backing-file", message=BACKING_FILE, report=REFUSED)
    waiting = catalog.release(begin("windows-2025", total=4_000 * MiB), source={"spool": "key"})
    staged = _stage(catalog, project)
    running = begin("gpu-base-cuda", method="web-download", total=12_288 * MiB)
    catalog.progress(running, 4_410 * MiB)
    catalog.note(running, report={"running": {"waits_for": "antivirus"}})
    return Example(
        *(catalog.task(task.id) for task in (running, refused, accepted, waiting, staged, cancelled)),
    )
