"""Whom the plan locks out, by trying: images as Nova and Cinder upload them go through the plan, and are dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from douane.declared import DeclaredImage
from douane.engine import Report, RunEnded
from douane.errors import DouaneError
from douane.glance.backends import Backend
from douane.plan.binding import Sender
from douane.units import MiB
from douane_plugin.testing.images import image_bytes

from .points import Area, Point
from .site import Site

_AREA = Area("upload")
_ROLES = ("member", "reader")


@dataclass(frozen=True)
class Sample:
    """An image as a service uploads it; `name` says which."""

    name: str
    disk_format: str
    data: bytes


def samples() -> tuple[Sample, ...]:
    """What these services upload with ``PUT /file``, as small as it can be."""
    return (
        Sample("Nova: snapshot of a server", "qcow2", image_bytes("qcow2", 4 * MiB)),
        Sample("Nova: snapshot of a server that boots from a volume", "raw", b""),
        Sample("Cinder: image of a volume", "raw", image_bytes("gpt", 4 * MiB)),
    )


def examine(site: Site) -> Iterator[Point]:
    """Yield a point for each sample. Nothing is stored."""
    if site.backend is not None and site.is_filtered:
        for sample in samples():
            yield _point(site.backend, sample)


def _point(backend: Backend, sample: Sample) -> Point:
    try:
        report = _inspect(backend, sample)
    except DouaneError as error:
        return _AREA.wrong(sample.name, f"a sample cannot be checked: {error}", "fix what is named here")
    if report.outcome == "accepted" and not report.is_transformed:
        return _AREA.ok(sample.name, "a sample is accepted")
    if report.outcome == "accepted":
        return _AREA.advice(
            sample.name,
            "a sample is refused: needs-import; the plan would change it",
            'bind the transform: only = "import", or exempt_roles',
        )
    plugins = ", ".join(verdict.plugin for verdict in report.verdicts if verdict.decisive) or "the engine"
    fact = f"{plugins}: {report.code}: {report.message}"
    if report.outcome == "refused":
        return _AREA.advice(
            sample.name,
            f"a sample is refused by {fact}",
            "change the plan, unless this site has no such images, or they have what the sample lacks",
        )
    return _AREA.wrong(sample.name, f"a sample cannot be checked by {fact}", "find out why: images may not get in")


def _inspect(backend: Backend, sample: Sample) -> Report:
    """Raises DouaneError."""
    exempt = tuple(role for roles in backend.upload_transforms.values() for role in roles)
    declared = DeclaredImage(
        name="a sample of douane glance doctor",
        disk_format=sample.disk_format,
        container_format="bare",
        owner="a-project",
        roles=_ROLES,
    )
    sender = Sender("upload", (*_ROLES, *exempt))
    inspection = backend.begin(declared, len(sample.data), declared.name or "", sender)
    try:
        if sample.data:
            inspection.write(sample.data)
    except RunEnded:
        return inspection.result()
    return inspection.finish()
