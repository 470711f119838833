"""The inspector `explain`: all that `format` sees in an image, told instead of judged."""

from __future__ import annotations

import json

from douane_plugin import Incomplete, Reject

from ._found import Found
from .format import Format, properties
from .formats import Examination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

PART_CHARACTERS = 4000
"""A property's text is at most 4096 characters long, so the explanation is cut into properties."""

MOST_CHARACTERS = 40 * PART_CHARACTERS
FEWER = (200, 40, 8, 0)


class Explain(Format):
    """Tell what an image is, with the fields and offsets that say so, and what `format` would say to it.

    ``use = "explain"``, with the configuration of `format`. It accepts every image, so it stands in no plan that lets
    images in: ``douane inspect`` uses it.

    Properties: those of `format`, ``outcome`` (``accepted``, ``refused``, ``incomplete``), ``code`` and ``message``
    as `format` would give them, and ``part_0``, ``part_1``, ...: put together, a JSON text, a list of the formats
    that the image can be read as.
    """

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Raises nothing of its own."""
        examination = Examination(image.size)
        for chunk in image:
            examination.feed(chunk)
        examination.finish()
        told = properties(examination)
        told["outcome"], told["code"], told["message"] = "accepted", "", ""
        try:
            self.judge(image, examination)
        except Reject as no:
            told["outcome"], told["code"], told["message"] = "refused", no.code, no.message
        except Incomplete as no:
            told["outcome"], told["code"], told["message"] = "incomplete", no.code, no.message
        text = explained(examination, self.worth)
        for number, at in enumerate(range(0, len(text), PART_CHARACTERS)):
            told[f"part_{number}"] = text[at : at + PART_CHARACTERS]
        return told


def explained(examination: Examination, worth: dict[str, str]) -> str:
    """All that was found, as JSON; where that is too long, with fewer fields and findings of each format.

    A list of objects: ``format``, ``disk_format``, ``kind``, ``variant``, ``at`` ("start" or "end"),
    ``virtual_size``, ``fields`` (name, value, offset), ``findings`` (code, what it is worth, detail, offset), and
    ``inside`` (name, list of the same objects).
    """
    text = ""
    for most in FEWER:
        text = json.dumps(_told(examination, worth, most), separators=(",", ":"))
        if len(text) <= MOST_CHARACTERS:
            return text
    return "[]"


def _told(examination: Examination, worth: dict[str, str], most: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for look in examination.looks:
        findings = [*(() if told else examination.together), *look.findings]
        told.append(
            {
                "format": look.name,
                "disk_format": look.disk_format,
                "kind": look.kind,
                "variant": look.variant,
                "at": look.at,
                "virtual_size": look.virtual_size,
                "fields": [[field.name, field.value, field.offset] for field in look.fields[:most]],
                "findings": [[one.code, worth[one.code], one.detail, one.offset] for one in findings[: max(most, 4)]],
                "inside": [[name, _told(inner, worth, most)] for name, inner in look.inner[: max(most, 4)]],
            }
        )
    if not told:
        found = Found(examination)
        told.append(
            {
                "format": found.name,
                "disk_format": found.disk_format,
                "kind": "content",
                "variant": "",
                "at": "start",
                "virtual_size": found.virtual_size,
                "fields": [],
                "findings": [[one.code, worth[one.code], one.detail, one.offset] for one in examination.together],
                "inside": [],
            }
        )
    return told
