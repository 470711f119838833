"""Appliances as real tools pack them: `format` and `ova` read the same members."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.format import Format
from support.examination import codes, details, examine, refused
from support.images.ova import DISK, disk, file, manifest, ova, ovf
from support.images.ova_by_tools import apple_double, ova_of_macos, ova_of_ovirt
from support.images.tar import tar
from support.plugin_runs import answer, cut, extracted, ova_code

Pack = Callable[[list[tuple[str, bytes]]], bytes]
FOLDERS = ["", "win22/", "./win22/", "a/b/c/"]
MEMBERS = [("vm.ovf", ovf()), ("vm.mf", manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK))), ("disk.vmdk", DISK)]


def in_folder(folder: str) -> list[tuple[str, bytes]]:
    return [(folder + name, data) for name, data in MEMBERS]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("pack", [lambda members: tar(*members), lambda members: ova_of_macos(*members)])
def test_an_appliance_in_a_folder_is_accepted_by_format_and_by_ova(folder: str, pack: Pack) -> None:
    image = pack(in_folder(folder))
    assert refused(image) == set()
    assert answer(Format(), image)[0] == "accept"
    extraction = extracted(image)
    assert (extraction.code, extraction.data) == (None, DISK)
    assert extraction.properties["manifest"] == "sha256 verified"
    assert extracted(image, any_order=True).data == DISK


@pytest.mark.parametrize("href", ["disk.vmdk", "disk%2evmdk", "./disk.vmdk"])
def test_an_href_is_relative_to_the_descriptor(href: str) -> None:
    """DSP0243, 7.1: a disk beside the folder of the descriptor is not its file."""
    description = ovf(files=file(href))
    assert refused(tar(("box/vm.ovf", description), ("box/disk.vmdk", DISK))) == set()
    beside = tar(("box/vm.ovf", description), ("disk.vmdk", DISK))
    assert (refused(beside), ova_code(beside)) == ({"ovf"}, "ova-no-disk")
    below = tar(("vm.ovf", ovf(files=file("box/" + href.removeprefix("./")))), ("box/disk.vmdk", DISK))
    assert (refused(below), ova_code(below)) == (set(), None)


def test_the_chunks_of_a_disk_in_a_folder_are_joined() -> None:
    packed = gzip.compress(DISK)
    description = ovf(files=file("disk.gz", compression="gzip", chunkSize=100, size=len(packed)))
    chunks = [(f"box/disk.gz.{at // 100:09}", packed[at : at + 100]) for at in range(0, len(packed), 100)]
    image = tar(("box/vm.ovf", description), *chunks)
    assert codes(examine(image)) == set()
    assert extracted(image).data == DISK


def test_the_attributes_that_macos_packs_are_ignored_with_a_warning() -> None:
    image = ova_of_macos(*MEMBERS)
    examination = examine(image)
    assert codes(examination) == {"odd"}
    assert "'._vm.ovf'" in details(examination)
    assert "is not the first member" not in details(examination)
    for any_order in (False, True):
        extraction = extracted(image, any_order=any_order)
        assert (extraction.code, extraction.warnings) == (None, ["ova-apple-double"])


def test_only_the_content_makes_attributes_of_a_member() -> None:
    """A second descriptor under such a name would be read by other programs."""
    image = tar(("._vm.ovf", ovf(files=file("other.vmdk"))), *MEMBERS)
    assert (refused(image), ova_code(image)) == ({"ovf"}, "ova-descriptor")
    hidden = ova(("._x", tar(("../../x", b"1"))), ("disk.vmdk", DISK))
    assert "member-name" in refused(hidden) or "too-deep" in refused(hidden)
    named = ova(("._disk.vmdk", apple_double()), descriptor=ovf(files=file("._disk.vmdk")))
    assert (refused(named), ova_code(named)) == ({"ovf"}, "ova-no-disk")


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 511, 5000])
def test_a_member_that_is_only_named_like_attributes_is_read_to_its_end(length: int) -> None:
    data = DISK[:length]
    image = ova(("._notes", data), ("disk.vmdk", DISK))
    assert codes(examine(image)) == codes(examine(ova(("notes", data), ("disk.vmdk", DISK))))
    assert (extracted(image).data, extracted(image).warnings) == (DISK, [])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_appliance_of_ovirt_is_accepted(count: int) -> None:
    """It has a member `pad` before each disk."""
    disks = [bytes([number]) * (5000 * number) for number in range(1, count + 1)]
    image = ova_of_ovirt(*disks)
    assert refused(image) == set()
    for number, data in enumerate(disks):
        extraction = extracted(image, disk=number)
        assert (extraction.code, extraction.data) == (None, data)


MANIFEST = manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK), ("notes.txt", b"1"))


@pytest.mark.parametrize(
    ("twice", "codes_of_format", "code_of_ova"),
    [
        (("vm.ovf", ovf()), {"ovf", "member-twice"}, "ova-member-twice"),
        (("./vm.ovf", ovf()), {"ovf", "member-twice"}, "ova-member-twice"),
        (("disk.vmdk", DISK), {"member-twice"}, "ova-member-twice"),
        (("notes.txt", b"1"), {"member-twice"}, "ova-member-twice"),
        (("vm.mf", MANIFEST), {"manifest", "member-twice"}, "ova-manifest"),
        (("pad", b"2"), set(), None),
        (("pad/", b""), set(), None),
    ],
)
def test_a_member_must_be_unique_if_something_refers_to_it(
    twice: tuple[str, bytes], codes_of_format: set[str], code_of_ova: str | None
) -> None:
    """The descriptor, the disk, a member in the manifest, and the manifest; nothing refers to `pad`."""
    members = (("vm.mf", MANIFEST), ("notes.txt", b"1"), ("pad", b"1"), ("disk.vmdk", DISK))
    image = ova(*members, twice)
    assert refused(image) == codes_of_format
    assert ova_code(image) == code_of_ova
    if code_of_ova:
        assert ova_code(image, any_order=True) in (code_of_ova, "ova-descriptor")


def test_two_members_that_could_be_one_file_are_refused() -> None:
    members = (("a%20b.vmdk", DISK), ("a b.vmdk", DISK))
    image = ova(*members, descriptor=ovf(files=file("a%20b.vmdk")))
    assert (refused(image), ova_code(image)) == ({"member-twice"}, "ova-member-twice")


def test_a_disk_that_is_not_chosen_must_be_unique_as_well() -> None:
    description = ovf(files=file() + file("other.vmdk", "file2"), disks=disk() + disk("disk2", "file2"))
    image = ova(("disk.vmdk", DISK), ("other.vmdk", b"1"), ("other.vmdk", b"2"), descriptor=description)
    assert (refused(image), ova_code(image, disk=0)) == ({"member-twice"}, "ova-member-twice")


NAMES = ["vm.ovf", "disk.vmdk", "pad", "notes.txt", "._pad", "._vm.ovf", "x/pad", "vm.mf"]


@given(
    names=st.lists(st.sampled_from(NAMES[1:]), max_size=6),
    folder=st.sampled_from(FOLDERS),
    cuts=st.lists(st.integers(0, 9000), max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_format_and_ova_agree_on_members_in_any_combination(names: list[str], folder: str, cuts: list[int]) -> None:
    """`ova` refuses for nothing that `format` lets pass, and the reverse."""
    content = {"disk.vmdk": DISK[:3000], "vm.mf": manifest(("vm.ovf", ovf())), "notes.txt": b"1"}
    members = [("vm.ovf", ovf()), *((name, content.get(name, apple_double()[:99])) for name in names)]
    image = tar(*((folder + name, data) for name, data in members))
    extraction = extracted(cut(image, cuts))
    assert (extraction.code is None) == (refused(image) == set()), (extraction.code, refused(image))
