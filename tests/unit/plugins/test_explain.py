"""The inspector `explain` reports the findings and the verdict of `format`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.cli.explanation import read_explanation
from douane.plugins.explain import Explain
from douane.plugins.format import Format
from douane_plugin import testing
from support.images import MIB, patched
from support.images.headers import luks
from support.images.iso import iso
from support.images.partitions import gpt_disk, mbr_disk, mbr_entry
from support.images.vmdk import vmdk_text
from support.plugin_runs import answer, as_image

Make = Callable[..., bytes]


def explain(image: bytes, **config: Any) -> dict[str, Any]:
    """The explanation, such as the engine and the command line take it."""
    result = testing.run(Explain, image, config=config)
    assert (result.outcome, result.properties) == ("accepted", {})
    explanation: dict[str, Any] = result.documents["explanation"]
    assert read_explanation(explanation).outcome == explanation["outcome"]
    return explanation


def backed(qemu_img: Make) -> bytes:
    name = b"/etc/passwd"
    return patched(qemu_img("qcow2"), (8, (512).to_bytes(8, "big")), (16, len(name).to_bytes(4, "big")), (512, name))


def test_fields_are_reported_with_their_offsets(qemu_img: Make) -> None:
    explanation = explain(qemu_img("qcow2"))
    (match,) = explanation["formats"]
    assert (match["format"], match["variant"], match["virtual_size"], match["at"]) == ("qcow2", "v3", 8 * MIB, "start")
    assert {"name": "cluster_bits", "value": 16, "offset": 20} in match["fields"]
    assert (explanation["outcome"], explanation["code"], explanation["message"]) == ("accepted", None, None)


def test_a_refusal_is_reported_with_its_findings(qemu_img: Make) -> None:
    explanation = explain(backed(qemu_img))
    assert (explanation["outcome"], explanation["code"]) == ("refused", "unsafe-backing-file")
    (finding,) = explanation["formats"][0]["findings"]
    assert (finding["code"], finding["worth"], finding["offset"]) == ("backing-file", "refuse", 512)
    assert "/etc/passwd" in finding["detail"]


def test_the_configuration_sets_the_worth_of_findings(qemu_img: Make) -> None:
    explanation = explain(backed(qemu_img), warn=["backing-file"])
    assert (explanation["outcome"], explanation["formats"][0]["findings"][0]["worth"]) == ("accepted", "warn")


def test_every_format_of_a_file_is_reported() -> None:
    explanation = explain(iso(64, first=luks(size=1024)))
    assert [match["format"] for match in explanation["formats"]] == ["luks1", "iso"]
    assert explanation["code"] == "format-ambiguous"
    assert explanation["formats"][0]["findings"][0]["code"] == "ambiguous"


def test_members_of_an_archive_are_reported(qemu_img: Make) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (("machine.ovf", OVF), ("disk.qcow2", backed(qemu_img))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    explanation = explain(buffer.getvalue())
    assert (explanation["outcome"], explanation["code"]) == ("refused", "unsafe-backing-file")
    (inside,) = explanation["formats"][0]["inside"]
    assert (inside["name"], inside["formats"][0]["format"]) == ("disk.qcow2", "qcow2")
    assert inside["formats"][0]["findings"][0]["code"] == "backing-file"


OVF = b"""<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:href="disk.qcow2" ovf:id="file1"/></References>
<DiskSection><Info/><Disk ovf:capacity="8388608" ovf:diskId="disk1" ovf:fileRef="file1"/></DiskSection>
</Envelope>"""


def test_bytes_without_a_structure_are_reported_as_raw() -> None:
    explanation = explain(bytes(MIB))
    assert [(match["format"], match["virtual_size"]) for match in explanation["formats"]] == [("raw", MIB)]
    assert explain(b"")["code"] == "empty"


def test_a_long_explanation_is_shortened_with_a_count() -> None:
    extents = "\n".join(f'RW 1 FLAT "{"x" * 150}{number}" 0' for number in range(3000))
    explanation = explain(vmdk_text(extents))
    (match,) = explanation["formats"]
    assert explanation["code"] == "unsafe-external-extent"
    assert match["findings"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number in range(900):
            archive.addfile(tarfile.TarInfo(f"{'d' * 90}{number}"))
    (match,) = explain(buffer.getvalue())["formats"]
    assert match["left_out"] > 0 or len(match["fields"]) >= 200


def test_a_very_long_name_is_cut() -> None:
    text = vmdk_text('RW 1 FLAT "x" 0', "A" * 9000)
    assert len(explain(text)["variant"]) == 200
    outcome, explanation = answer(
        Format(ignore=["external-extent", "subformat", "descriptor", "odd"]), text, size=len(text)
    )
    assert (outcome, len(explanation["variant"])) == ("accept", 200)


SAMPLES = [
    gpt_disk((64, 1983), size=MIB),
    mbr_disk(mbr_entry(0x83, 9, 9), size=MIB),
    iso(),
    luks(),
    vmdk_text('RW 1 FLAT "x" 0'),
    b"PK\3\4" + bytes(99),
]


@settings(deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 2000), st.binary(max_size=8), st.integers(0, 1 << 20))
def test_the_verdict_is_that_of_format_for_any_bytes(image: bytes, at: int, change: bytes, keep: int) -> None:
    changed = patched(image, (min(at, len(image) - 1), change))[:keep]
    explanation = explain(changed)
    outcome, answered = answer(Format(), changed, size=len(changed))
    assert explanation["outcome"] == {"accept": "accepted", "reject": "refused"}.get(outcome, outcome)
    if outcome != "accept":
        assert explanation["code"] == answered
    else:
        assert {key: explanation[key] for key in answered} == answered


def test_a_refused_image_is_read_to_its_end(qemu_img: Make) -> None:
    image = backed(qemu_img) + bytes(4 * MIB)
    handed, source = as_image(image, size=None)
    Explain().inspect(handed)
    assert source.given_bytes == len(image)


def test_the_settings_are_those_of_format() -> None:
    with pytest.raises(ValueError, match="unknown finding"):
        Explain(refuse=["nonsense"])
