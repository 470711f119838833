"""Images that can be read as more than one format: normal pairs pass, ambiguous pairs are refused."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.formats.match import Match
from douane.plugins.formats.polyglot import judge
from support.examination import codes, examine, names
from support.images.iso import iso
from support.images.partitions import gpt_disk, gpt_entries, gpt_header, mbr_disk, mbr_entry
from support.images.tar import tar
from support.images.zip import zipped

DISKS = ("qcow2", "qcow", "qed", "vdi", "vhd", "vhdx", "luks1", "luks2", "parallels", "bochs", "cloop")
VMDKS = ("vmdk", "vmdk-descriptor", "vmdk-extent", "vmdk-cowd")
KINDS = {
    **{name: ("disk", name) for name in DISKS},
    **dict.fromkeys(VMDKS, ("disk", "vmdk")),
    **dict.fromkeys(("iso", "udf"), ("disk", "iso")),
    **dict.fromkeys(("tar", "ova", "zip"), ("archive", "raw")),
    **dict.fromkeys(("gzip", "xz", "zstd", "bzip2", "lz4", "lzma"), ("compressed", "raw")),
    **dict.fromkeys(("mbr", "gpt", "ext", "btrfs", "fat", "kernel", "text"), ("content", "raw")),
    **{name: ("other", name) for name in ("dmg", "nrg", "ewf", "ovf", "parallels-xml")},
}


def match_of(name: str, at: str = "start", place: int = 0) -> Match:
    """A match as a reader may leave it."""
    kind, disk_format = KINDS[name]
    match = Match(name, disk_format, kind, 1 << 20, at)
    match.note("signature", name, place)
    return match


def judged(*matches: Match) -> tuple[list[str], set[str]]:
    """The order and the codes, which must not depend on the order of `matches`."""
    answers = set()
    for order in itertools.permutations(matches):
        matches = list(order)
        findings = judge(matches)
        answers.add((tuple(match.name for match in matches), frozenset(finding.code for finding in findings)))
    (answer,) = answers
    return list(answer[0]), set(answer[1])


@pytest.mark.parametrize("name", KINDS)
def test_single_format_is_not_ambiguous(name: str) -> None:
    assert judged(match_of(name)) == ([name], set())


@pytest.mark.parametrize(
    "normal",
    [
        [match_of("iso"), match_of("mbr")],
        [match_of("iso"), match_of("gpt")],
        [match_of("iso"), match_of("udf"), match_of("gpt")],
        [match_of("ext"), match_of("kernel")],
        [match_of("vhd", "end"), match_of("gpt")],  # a fixed VHD
        [match_of("dmg", "end"), match_of("mbr")],  # one that is not compressed
        [match_of("dmg", "end"), match_of("bzip2")],  # one that begins with a compressed chunk
        [match_of("nrg", "end"), match_of("iso")],
    ],
    ids=lambda matches: "+".join(match.name for match in matches),
)
def test_pairs_of_real_tools_pass(normal: list[Match]) -> None:
    assert judged(*normal) == ([match.name for match in normal], set())


@pytest.mark.parametrize("name", [*DISKS, *VMDKS])
@pytest.mark.parametrize("second", ["iso", "udf", "mbr", "gpt", "ext", "tar", "gzip", "ewf"])
def test_disk_with_another_format_is_refused_and_comes_first(name: str, second: str) -> None:
    assert judged(match_of(second), match_of(name)) == ([name, second], {"ambiguous"})


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations([*DISKS, *VMDKS], 2)))
def test_two_disk_formats_are_refused(first: str, second: str) -> None:
    assert judged(match_of(first), match_of(second))[1] == {"ambiguous"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (match_of("iso"), match_of("tar")),
        (match_of("iso"), match_of("gzip")),
        (match_of("gzip"), match_of("mbr")),
        (match_of("gzip"), match_of("zip", "end")),
        (match_of("qcow2"), match_of("vhd", "end")),
        (match_of("iso"), match_of("vhd", "end")),
        (match_of("qcow2"), match_of("dmg", "end")),
        (match_of("vmdk"), match_of("gpt", place=65600)),
        (match_of("vmdk"), match_of("ext", place=1080)),
        (match_of("dmg", "end"), match_of("tar")),
    ],
    ids=lambda first: first.name,
)
def test_ambiguous_pairs_are_refused(first: Match, second: Match) -> None:
    assert judged(first, second)[1] == {"ambiguous"}


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "iso", "gpt"])
def test_zip_after_an_image_is_trailing_data(name: str) -> None:
    assert judged(match_of(name), match_of("zip", "end")) == ([name, "zip"], {"trailing-data"})


def test_vdi_precedes_other_formats_as_in_qemu() -> None:
    # Seen with qemu-img 7.2 on heads with both magics.
    for name in (*DISKS, *VMDKS):
        if name != "vdi":
            first = name in ("qed", "parallels")
            assert judged(match_of("vdi"), match_of(name))[0] == ([name, "vdi"] if first else ["vdi", name])


@pytest.mark.parametrize("name", ["vmdk-descriptor", "ovf", "parallels-xml", "kernel"])
def test_text_yields_to_other_formats(name: str) -> None:
    assert judged(match_of("text"), match_of(name)) == ([name], set())


@pytest.mark.parametrize("name", ["vhdx", "qcow2", "tar", "gzip"])
def test_guest_table_at_the_end_of_another_format_is_ignored(name: str) -> None:
    assert judged(match_of(name), match_of("gpt", "end")) == ([name], set())


def test_finding_names_the_formats_and_belongs_to_the_first() -> None:
    (finding,) = judge([match_of("iso"), match_of("qcow2")])
    assert (finding.format, finding.code) == ("qcow2", "ambiguous")
    assert finding.detail == "it can be read as qcow2 and as iso: qemu-img takes it for qcow2, other programs may not"


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=6, unique=True), st.booleans())
def test_any_set_of_matches_is_judged(chosen: list[str], end: bool) -> None:
    matches = [match_of(name, "end" if end else "start") for name in chosen]
    findings = judge(matches)
    again = judge(matches)
    assert [(one.code, one.detail) for one in findings] == [(one.code, one.detail) for one in again]
    disks = [name for name in chosen if KINDS[name][0] == "disk" and name not in ("iso", "udf")]
    if len(disks) > 1:
        assert "ambiguous" in {finding.code for finding in findings}


# images


ISO = iso(blocks=200)


def test_iso_alone_passes() -> None:
    examination = examine(ISO)
    assert names(examination) == ["iso"]
    assert not examination.findings


@pytest.mark.parametrize("kind", ["qcow2", "qcow", "qed", "vmdk", "vdi", "vhdx", "vpc", "parallels", "luks"])
@pytest.mark.parametrize("content", [ISO, gpt_disk((100, 200)), mbr_disk(mbr_entry(0x83, 2048, 100))])
def test_disk_header_before_an_iso_or_partition_table_is_refused(
    qemu_img: Callable[..., bytes], kind: str, content: bytes
) -> None:
    secret = ("--object", "secret,id=key,data=abc123", "-o", "key-secret=key,iter-time=10") if kind == "luks" else ()
    header = qemu_img(kind, *secret, size=4 << 20)[:440]
    image = header + content[440:]
    examination = examine(image)
    assert "ambiguous" in codes(examination)
    assert len(names(examination)) == 2
    assert names(examination)[1] in ("iso", "gpt", "mbr")


def test_vmdk_descriptor_before_an_iso_is_refused() -> None:
    text = b'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
    text += b'RW 8 FLAT "/etc/passwd" 0\n'
    examination = examine(iso(blocks=200, first=text))
    assert names(examination) == ["vmdk-descriptor", "iso"]
    assert "ambiguous" in codes(examination)


ARCHIVES = {
    "tar": tar(("disk", bytes(10))),
    "gzip": gzip.compress(bytes(1000), mtime=0),
    "zip": zipped(("disk", bytes(10))),
}


@pytest.mark.parametrize("kind", ["tar", "gzip"])
def test_archive_in_the_system_area_of_an_iso_is_refused(kind: str) -> None:
    archive = ARCHIVES[kind][: 16 << 10]
    examination = examine(archive + ISO[len(archive) :])
    assert names(examination)[0] == "iso"
    assert len(names(examination)) == 2
    assert "ambiguous" in codes(examination)


def test_gzip_that_ends_as_a_zip_is_refused() -> None:
    assert "ambiguous" in codes(examine(ARCHIVES["gzip"] + ARCHIVES["zip"]))


def test_zip_after_a_qcow2_is_found(qemu_img: Callable[..., bytes]) -> None:
    examination = examine(qemu_img("qcow2") + ARCHIVES["zip"])
    assert names(examination)[0] == "qcow2"
    assert "trailing-data" in codes(examination)


def test_qcow2_that_ends_as_a_fixed_vhd_is_refused(qemu_img: Callable[..., bytes]) -> None:
    footer = qemu_img("vpc", "-o", "subformat=fixed,force_size=on", size=4 << 20)[-512:]
    examination = examine(qemu_img("qcow2") + footer)
    assert names(examination)[0] == "qcow2"
    assert "ambiguous" in codes(examination)


@pytest.mark.parametrize("disk", [gpt_disk((100, 200)), mbr_disk(mbr_entry(0x83, 2048, 100))])
def test_fixed_vhd_of_a_disk_with_partitions_is_normal(qemu_img: Callable[..., bytes], disk: bytes) -> None:
    examination = examine(qemu_img("vpc", "-o", "subformat=fixed,force_size=on", data=disk))
    assert names(examination)[0] == "vhd"
    assert not examination.findings


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "parallels"])
@pytest.mark.parametrize("disk", [ISO, gpt_disk((100, 200)), mbr_disk(mbr_entry(0x83, 2048, 100))])
def test_guest_data_in_a_format_are_not_a_match(qemu_img: Callable[..., bytes], kind: str, disk: bytes) -> None:
    examination = examine(qemu_img(kind, data=disk))
    assert len(names(examination)) == 1
    assert "ambiguous" not in codes(examination)


def test_guest_gpt_copy_at_the_right_place_is_not_a_match(qemu_img: Callable[..., bytes]) -> None:
    image = qemu_img("vhdx", size=4 << 20)
    last = len(image) // 512
    copy = gpt_header(last, 1, last - 32, gpt_entries((100, 200)), last=last - 34)
    assert names(examine(bytes(len(image)) + copy)) == ["gpt"]
    examination = examine(image + copy)
    assert names(examination) == ["vhdx"]
    assert not codes(examination) & {"ambiguous", "partition-table"}
