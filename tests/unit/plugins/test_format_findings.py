"""The document `findings` of `format`: what was noticed, and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from douane.plugins.format import Format
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.match import Finding
from douane.plugins.formats.registry import FORMATS
from douane_plugin import testing
from support.images import MIB, patched


def test_the_findings_are_attached_with_their_offsets_whatever_the_verdict_is(qemu_img: Callable[..., bytes]) -> None:
    name = b"/etc/passwd"
    image = patched(qemu_img("qcow2"), (8, (512).to_bytes(8, "big")), (16, len(name).to_bytes(4, "big")), (512, name))
    for outcome, config in (("refused", {}), ("accepted", {"warn": ["backing-file"]})):
        result = testing.run(Format, image, config=config)
        (finding,) = result.documents["findings"]
        assert result.outcome == outcome and finding["worth"] == ("warn" if config else "refuse")
        assert (finding["code"], finding["offset"], finding["subject"]) == ("backing-file", 512, "the qcow2 image")
        assert "/etc/passwd" in finding["detail"]
    assert testing.run(Format, qemu_img("qcow2")).documents == {}


def test_findings_with_the_longest_texts_fit_into_a_document(qemu_img: Callable[..., bytes]) -> None:
    plugin = Format()
    examination = Examination(FORMATS, None)
    examination.feed(qemu_img("qcow2")[:MIB])
    examination.finish()
    for letter in ("\U0001f600", "\0", "\ud800", '"', "\\"):
        findings = [Finding("backing-file", "qcow2", letter * 5000, number) for number in range(100)]
        examination.matches[0].findings[:] = findings
        attached: dict[str, Any] = {}
        plugin.attach = attached.__setitem__  # type: ignore[method-assign]
        plugin._attach_findings(examination)
        assert len(attached["findings"]) == 40 and len(json.dumps(attached)) < 256 * 1024
