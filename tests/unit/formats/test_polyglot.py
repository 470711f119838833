"""Images that can be read as more than one format: which are normal, and which deceive somebody."""

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
    """One that a reader could have left."""
    kind, disk_format = KINDS[name]
    one = Match(name, disk_format, kind, 1 << 20, at)
    one.note("signature", name, place)
    return one


def judged(*matches: Match) -> tuple[list[str], set[str]]:
    """The order and the codes, which must not depend on the order in which the looks were found."""
    answers = set()
    for order in itertools.permutations(matches):
        found = list(order)
        findings = judge(found)
        answers.add((tuple(one.name for one in found), frozenset(finding.code for finding in findings)))
    (answer,) = answers
    return list(answer[0]), set(answer[1])


@pytest.mark.parametrize("name", KINDS)
def test_one_format_alone_is_never_ambiguous(name: str) -> None:
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
        [match_of("vmdk"), match_of("btrfs", place=65600)],  # the first data of its guest
    ],
    ids=lambda matches: "+".join(one.name for one in matches),
)
def test_what_real_tools_make_is_normal(normal: list[Match]) -> None:
    assert judged(*normal) == ([one.name for one in normal], set())


@pytest.mark.parametrize("name", [*DISKS, *VMDKS])
@pytest.mark.parametrize("other", ["iso", "udf", "mbr", "gpt", "ext", "tar", "gzip", "ewf"])
def test_a_disk_that_is_something_else_to_others_is_refused_and_told_first(name: str, other: str) -> None:
    assert judged(match_of(other), match_of(name)) == ([name, other], {"ambiguous"})


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations([*DISKS, *VMDKS], 2)))
def test_two_formats_of_disks_are_refused(one: str, other: str) -> None:
    assert judged(match_of(one), match_of(other))[1] == {"ambiguous"}


@pytest.mark.parametrize(
    ("one", "other"),
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
    ids=lambda one: one.name,
)
def test_other_pairs_of_which_tools_could_choose_either_are_refused(one: Match, other: Match) -> None:
    assert judged(one, other)[1] == {"ambiguous"}


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "iso", "gpt"])
def test_a_zip_behind_an_image_is_trailing_data(name: str) -> None:
    assert judged(match_of(name), match_of("zip", "end")) == ([name, "zip"], {"trailing-data"})


def test_of_vdi_and_another_format_qemu_asks_for_vdi_first_but_for_two() -> None:
    # Seen with qemu-img 7.2 on heads with both magics.
    for name in (*DISKS, *VMDKS):
        if name != "vdi":
            first = name in ("qed", "parallels")
            assert judged(match_of("vdi"), match_of(name))[0] == ([name, "vdi"] if first else ["vdi", name])


@pytest.mark.parametrize("name", ["vmdk-descriptor", "ovf", "parallels-xml", "kernel"])
def test_text_that_is_something_more_is_that(name: str) -> None:
    assert judged(match_of("text"), match_of(name)) == ([name], set())


@pytest.mark.parametrize("name", ["vhdx", "qcow2", "tar", "gzip"])
def test_the_end_of_a_disk_within_another_format_is_not_told(name: str) -> None:
    assert judged(match_of(name), match_of("gpt", "end")) == ([name], set())


def test_the_formats_are_named_in_the_finding_and_it_belongs_to_the_first() -> None:
    (finding,) = judge([match_of("iso"), match_of("qcow2")])
    assert (finding.format, finding.code) == ("qcow2", "ambiguous")
    assert finding.detail == "it can be read as qcow2 and as iso: qemu-img takes it for qcow2, other programs may not"


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=6, unique=True), st.booleans())
def test_any_set_of_looks_is_judged(chosen: list[str], end: bool) -> None:
    matches = [match_of(name, "end" if end else "start") for name in chosen]
    findings = judge(matches)
    again = judge(matches)
    assert [(one.code, one.detail) for one in findings] == [(one.code, one.detail) for one in again]
    disks = [name for name in chosen if KINDS[name][0] == "disk" and name not in ("iso", "udf")]
    if len(disks) > 1:
        assert "ambiguous" in {finding.code for finding in findings}


# images


ISO = iso(blocks=200)


def test_the_iso_by_itself_passes() -> None:
    examination = examine(ISO)
    assert names(examination) == ["iso"]
    assert not examination.findings


@pytest.mark.parametrize("kind", ["qcow2", "qcow", "qed", "vmdk", "vdi", "vhdx", "vpc", "parallels", "luks"])
@pytest.mark.parametrize("behind", [ISO, gpt_disk((100, 200)), mbr_disk(mbr_entry(0x83, 2048, 100))])
def test_the_header_of_a_disk_before_an_iso_or_a_partition_table_is_refused(
    qemu_img: Callable[..., bytes], kind: str, behind: bytes
) -> None:
    secret = ("--object", "secret,id=key,data=abc123", "-o", "key-secret=key,iter-time=10") if kind == "luks" else ()
    header = qemu_img(kind, *secret, size=4 << 20)[:440]
    image = header + behind[440:]
    examination = examine(image)
    assert "ambiguous" in codes(examination)
    assert len(names(examination)) == 2
    assert names(examination)[1] in ("iso", "gpt", "mbr")


def test_a_description_of_a_vmdk_before_an_iso_is_refused() -> None:
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
def test_an_archive_in_the_system_area_of_an_iso_is_refused(kind: str) -> None:
    archive = ARCHIVES[kind][: 16 << 10]
    examination = examine(archive + ISO[len(archive) :])
    assert names(examination)[0] == "iso"
    assert len(names(examination)) == 2
    assert "ambiguous" in codes(examination)


def test_a_gzip_that_ends_as_a_zip_is_refused() -> None:
    assert "ambiguous" in codes(examine(ARCHIVES["gzip"] + ARCHIVES["zip"]))


def test_a_qcow2_with_a_zip_behind_it_is_told(qemu_img: Callable[..., bytes]) -> None:
    examination = examine(qemu_img("qcow2") + ARCHIVES["zip"])
    assert names(examination)[0] == "qcow2"
    assert "trailing-data" in codes(examination)


def test_a_qcow2_that_ends_as_a_fixed_vhd_is_refused(qemu_img: Callable[..., bytes]) -> None:
    footer = qemu_img("vpc", "-o", "subformat=fixed,force_size=on", size=4 << 20)[-512:]
    examination = examine(qemu_img("qcow2") + footer)
    assert names(examination)[0] == "qcow2"
    assert "ambiguous" in codes(examination)


@pytest.mark.parametrize("disk", [gpt_disk((100, 200)), mbr_disk(mbr_entry(0x83, 2048, 100))])
def test_a_fixed_vhd_of_a_disk_with_partitions_is_normal(qemu_img: Callable[..., bytes], disk: bytes) -> None:
    examination = examine(qemu_img("vpc", "-o", "subformat=fixed,force_size=on", data=disk))
    assert names(examination)[0] == "vhd"
    assert not examination.findings


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "parallels"])
@pytest.mark.parametrize("disk", [ISO, gpt_disk((100, 200)), mbr_disk(mbr_entry(0x83, 2048, 100))])
def test_a_disk_in_a_format_is_that_format_alone(qemu_img: Callable[..., bytes], kind: str, disk: bytes) -> None:
    examination = examine(qemu_img(kind, data=disk))
    assert len(names(examination)) == 1
    assert "ambiguous" not in codes(examination)


def test_the_copy_of_a_guests_gpt_may_be_at_the_right_place_by_chance(qemu_img: Callable[..., bytes]) -> None:
    image = qemu_img("vhdx", size=4 << 20)
    last = len(image) // 512
    copy = gpt_header(last, 1, last - 32, gpt_entries((100, 200)), last=last - 34)
    assert names(examine(bytes(len(image)) + copy)) == ["gpt"]
    examination = examine(image + copy)
    assert names(examination) == ["vhdx"]
    assert not codes(examination) & {"ambiguous", "partition-table"}
