"""The inspector `explain`: everything that `format` finds in an image, reported instead of judged."""

from __future__ import annotations

import json

from douane_plugin import Incomplete, Reject

from ._image_format import ImageFormat
from .format import Format, clean, properties
from .formats.examination import Examination
from .formats.registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

    from .formats.match import InnerExamination

MAX_BYTES = 160_000
"""Of `formats` as JSON: documents may have 256 KiB, and a verdict of `format` is short."""

COUNTS = (200, 40, 8, 1)
"""Fields, findings and inner images to report for each format: the largest number that fits the document."""


class Explain(Format):
    """Identify an image, with the header fields and offsets behind every finding, and the verdict of `format`.

    The configuration is that of `format`. It accepts every image, so it is only for ``douane inspect``, and has no name
    that could be written by mistake under ``use`` in a plan.

    It attaches the document ``explanation``: an object with the properties of `format`, ``outcome`` (``accepted``,
    ``refused``, ``incomplete``), ``code`` and ``message`` (those of `format`, or null), and ``formats``, the list of
    :func:`explained`.
    """

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Attach the explanation; raise nothing."""
        examination = Examination(FORMATS, image.size)
        for chunk in image:
            examination.feed(chunk)
        examination.finish()
        verdict: dict[str, Any] = {"outcome": "accepted", "code": None, "message": None}
        try:
            self.judge(image, examination)
        except Reject as refusal:
            verdict.update(outcome="refused", code=refusal.code, message=refusal.message)
        except Incomplete as doubt:
            verdict.update(outcome="incomplete", code=doubt.code, message=doubt.message)
        formats = explained(examination, self.worth)
        self.attach("explanation", {**verdict, **properties(examination), "formats": formats})
        return {}


def explained(examination: Examination, worth: dict[str, str]) -> list[dict[str, Any]]:
    """All matches; if they are too long as JSON, with fewer fields and findings of each format.

    A list of objects: ``format``, ``disk_format``, ``kind``, ``variant``, ``at`` ("start" or "end"),
    ``virtual_size``, ``fields`` (``name``, ``value``, ``offset``), ``findings`` (``code``, ``worth``, ``detail``,
    ``offset``), ``inside`` (``name``, ``formats``: a list of the same objects), and ``left_out``: how many fields,
    findings and inner images are missing.
    """
    for count in COUNTS:
        matches = _matches(examination, worth, count)
        if len(json.dumps(matches, separators=(",", ":"))) <= MAX_BYTES:
            return matches
    return []  # so many formats that one finding of each is too much


def _matches(examination: Examination | InnerExamination, worth: dict[str, str], count: int) -> list[dict[str, Any]]:
    matches: list[dict[str, Any]] = []
    for match in examination.matches:
        findings = [*(() if matches else examination.joint_findings), *match.findings]
        findings.sort(key=lambda finding: ("refuse", "warn", "pass").index(worth[finding.code]))
        left_out = sum(max(0, len(rows) - count) for rows in (match.fields, findings, match.inner))
        matches.append(
            {
                "format": match.name,
                "disk_format": match.disk_format,
                "kind": match.kind,
                "variant": clean(match.variant[:200]),
                "at": match.at,
                "virtual_size": match.virtual_size,
                "fields": [
                    {"name": clean(field.name), "value": _value(field.value), "offset": field.offset}
                    for field in match.fields[:count]
                ],
                "findings": [
                    {"code": row.code, "worth": worth[row.code], "detail": clean(row.detail), "offset": row.offset}
                    for row in findings[:count]
                ],
                "inside": [
                    {"name": clean(name[:200]), "formats": _matches(inner, worth, count)}
                    for name, inner in match.inner[:count]
                ],
                "left_out": left_out,
            }
        )
    if not matches:
        form = ImageFormat(examination)
        matches.append(
            {
                "format": form.name,
                "disk_format": form.disk_format,
                "kind": "content",
                "variant": "",
                "at": "start",
                "virtual_size": form.virtual_size,
                "fields": [],
                "findings": [],
                "inside": [],
                "left_out": 0,
            }
        )
    return matches


def _value(value: int | str) -> int | str:
    """The value of a field as a document can hold it: an integer of at most 64 bits, or text."""
    if isinstance(value, str) or not -(1 << 63) <= value < 1 << 64:
        return clean(str(value))
    return value
