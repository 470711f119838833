"""The inspector `explain`: all that `format` sees in an image, told instead of judged."""

from __future__ import annotations

import json

from douane_plugin import Incomplete, Reject

from ._image_format import ImageFormat
from .format import Format, properties
from .formats.examination import Examination
from .formats.registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

    from .formats.match import InnerExamination

PART_CHARACTERS = 4000
"""A property's text is at most 4096 characters long, so the explanation is cut into properties."""

MOST_CHARACTERS = 40 * PART_CHARACTERS
FEWER = (200, 40, 8, 1)
"""How much is told of each format: less, where it would be too long for the properties of a plugin."""


class Explain(Format):
    """Tell what an image is, with the fields and offsets that say so, and what `format` would say to it.

    The configuration is that of `format`. It accepts every image, so it is for ``douane inspect`` alone, and has no
    name that ``use`` of a plan could have by a slip of the hand.

    Properties: ``part_0``, ``part_1``, ...: put together, a JSON text, an object with the properties of `format`,
    ``outcome`` (``accepted``, ``refused``, ``incomplete``), ``code`` and ``message`` (as `format` would give them, or
    null), and ``formats``, a list as :func:`explained` gives it.
    """

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Raises nothing of its own."""
        examination = Examination(FORMATS, image.size)
        for chunk in image:
            examination.feed(chunk)
        examination.finish()
        told: dict[str, Any] = {"outcome": "accepted", "code": None, "message": None}
        try:
            self.judge(image, examination)
        except Reject as no:
            told.update(outcome="refused", code=no.code, message=no.message)
        except Incomplete as no:
            told.update(outcome="incomplete", code=no.code, message=no.message)
        text = "{" + json.dumps({**told, **properties(examination)})[1:-1] + ', "formats": '
        text += explained(examination, self.worth) + "}"
        parts = range(0, len(text), PART_CHARACTERS)
        return {f"part_{number}": text[at : at + PART_CHARACTERS] for number, at in enumerate(parts)}


def explained(examination: Examination, worth: dict[str, str]) -> str:
    """All that was found, as JSON; where that is too long, with fewer fields and findings of each format.

    A list of objects: ``format``, ``disk_format``, ``kind``, ``variant``, ``at`` ("start" or "end"),
    ``virtual_size``, ``fields`` (``name``, ``value``, ``offset``), ``findings`` (``code``, ``worth``, ``detail``,
    ``offset``), ``inside`` (``name``, ``formats``: a list of the same objects), and ``left_out``: how many fields,
    findings and images inside are not told.
    """
    text = "[]"
    for most in FEWER:
        text = json.dumps(_told(examination, worth, most), separators=(",", ":"))
        if len(text) <= MOST_CHARACTERS:
            return text
    return "[]"  # of so many formats at once that not even one finding of each can be told


def _told(examination: Examination | InnerExamination, worth: dict[str, str], most: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for match in examination.matches:
        findings = [*(() if told else examination.joint_findings), *match.findings]
        findings.sort(key=lambda one: ("refuse", "warn", "pass").index(worth[one.code]))
        left_out = sum(max(0, len(each) - most) for each in (match.fields, findings, match.inner))
        told.append(
            {
                "format": match.name,
                "disk_format": match.disk_format,
                "kind": match.kind,
                "variant": match.variant[:200],
                "at": match.at,
                "virtual_size": match.virtual_size,
                "fields": [{"name": one.name, "value": one.value, "offset": one.offset} for one in match.fields[:most]],
                "findings": [
                    {"code": one.code, "worth": worth[one.code], "detail": one.detail, "offset": one.offset}
                    for one in findings[:most]
                ],
                "inside": [
                    {"name": name[:200], "formats": _told(inner, worth, most)} for name, inner in match.inner[:most]
                ],
                "left_out": left_out,
            }
        )
    if not told:
        found = ImageFormat(examination)
        told.append(
            {
                "format": found.name,
                "disk_format": found.disk_format,
                "kind": "content",
                "variant": "",
                "at": "start",
                "virtual_size": found.virtual_size,
                "fields": [],
                "findings": [],
                "inside": [],
                "left_out": 0,
            }
        )
    return told
