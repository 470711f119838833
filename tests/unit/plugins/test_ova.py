"""The transform `ova` on sound appliances, and on other images."""

from __future__ import annotations

import gzip
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.ova import Ova
from support.examination import codes, details, examine
from support.images.ova import DISK, SYSTEM, beginning, disk, file, manifest, ova, ovf
from support.images.tar import special, tar
from support.plugin_runs import cut, extracted, ova_code

MIB = 1 << 20
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("any_order", [False, True])
def test_an_appliance_becomes_its_disk(format: int, any_order: bool) -> None:
    extraction = extracted(ova(format=format), any_order=any_order)
    assert (extraction.code, extraction.data == DISK, extraction.warnings) == (None, True, [])
    assert extraction.formats == [(None, "bare"), (None, None)]
    assert extraction.properties == {"disk": "disk.vmdk", "disks": 1, "manifest": "none", "signature": "none"}


MEMBERS = [("vm.ovf", ovf()), ("vm.mf", manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK))), ("disk.vmdk", DISK)]


@given(order=st.permutations(range(3)), cuts=st.lists(st.integers(0, 30_000), max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_disk_is_the_same_for_all_chunk_sizes_and_any_order(order: list[int], cuts: list[int]) -> None:
    image = tar(*(MEMBERS[number] for number in order))
    extraction = extracted(cut(image, cuts), any_order=True)
    assert (extraction.code, extraction.data) == (None, DISK)
    assert extraction.properties["manifest"] == "sha256 verified"
    streamed = extracted(cut(image, cuts))
    if order.index(0) < order.index(2):
        assert (streamed.code, streamed.data, streamed.properties) == (None, DISK, extraction.properties)
    else:
        assert (streamed.code, streamed.data) == ("ova-order", b"")


def test_bytes_may_arrive_one_by_one() -> None:
    image = ova(("disk.vmdk", b"a small disk"))
    assert extracted(cut(image, range(len(image)))).data == b"a small disk"


@pytest.mark.parametrize(
    "namespace", ["http://www.vmware.com/schema/ovf/1/envelope", "http://schemas.dmtf.org/ovf/envelope/2"]
)
def test_each_version_of_ovf_is_read(namespace: str) -> None:
    assert extracted(ova(descriptor=ovf(namespace=namespace))).data == DISK


def test_a_disk_passes_in_pieces_without_a_copy() -> None:
    data = random.Random(3).randbytes(6 * MIB)
    extraction = extracted(cut(ova(("disk.vmdk", data)), range(0, 7 * MIB, MIB)))
    assert (extraction.data == data, extraction.longest <= MIB) == (True, True)


@pytest.mark.parametrize("chunk", [1, 4096, 9999, len(DISK)])
@pytest.mark.parametrize("sized", [True, False])
def test_the_chunks_of_a_disk_are_joined(chunk: int, sized: bool) -> None:
    data = DISK if chunk > 1 else DISK[:20]
    parts = [(f"disk.vmdk.{number:09}", data[at : at + chunk]) for number, at in enumerate(range(0, len(data), chunk))]
    size = {"size": len(data)} if sized else {}
    extraction = extracted(ova(*parts, descriptor=ovf(files=file(chunkSize=chunk, **size))))
    assert (extraction.code, extraction.data, extraction.warnings) == (None, data, [])
    assert extraction.properties["disk"] == "disk.vmdk"


def test_a_compressed_disk_is_unpacked() -> None:
    packed = gzip.compress(DISK) + gzip.compress(b"a second member")
    description = ovf(files=file("disk.gz", compression="gzip"))
    assert extracted(ova(("disk.gz", packed), descriptor=description)).data == DISK + b"a second member"
    parts = [(f"disk.gz.{at // 1000:09}", packed[at : at + 1000]) for at in range(0, len(packed), 1000)]
    description = ovf(files=file("disk.gz", compression="gzip", chunkSize=1000, size=len(DISK)))
    listed = ("vm.mf", manifest(("vm.ovf", description), *parts))
    extraction = extracted(ova(*parts, listed, descriptor=description))
    assert (extraction.code, extraction.data) == (None, DISK + b"a second member")
    assert extraction.properties["manifest"] == "sha256 verified"


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
@pytest.mark.parametrize("chunk_size", [None, 7])
def test_compressed_disk_is_unpacked_though_the_descriptor_does_not_say_so(step: int, chunk_size: int | None) -> None:
    packed = gzip.compress(DISK)
    parts = [("disk.vmdk.gz", packed)]
    if chunk_size:
        starts = enumerate(range(0, len(packed), chunk_size))
        parts = [(f"disk.vmdk.gz.{number:09}", packed[at : at + chunk_size]) for number, at in starts]
    attributes = {"chunkSize": chunk_size} if chunk_size else {}
    description = ovf(files=file("disk.vmdk.gz", size=len(packed), **attributes))
    listed = ("vm.mf", manifest(("vm.ovf", description), *parts))
    image = ova(*parts, listed, descriptor=description)
    extraction = extracted(cut(image, range(0, len(image), step)))
    assert (extraction.code, extraction.data) == (None, DISK)
    assert extraction.warnings == ["ova-compression-undeclared"]
    examination = examine(image)
    assert codes(examination) == {"odd"}
    assert examination.matches[0].virtual_size is None
    assert "'disk.vmdk.gz' is compressed with gzip, which the descriptor does not say" in details(examination)


@pytest.mark.parametrize("kind", ["gnu", "posix --sparse-version=0.0", "posix --sparse-version=0.1", "posix"])
def test_holes_are_filled_and_are_part_of_the_digest(kind: str, tmp_path: Path) -> None:
    data = bytes(MIB) + b"x" * 5000 + bytes(2 * MIB) + b"y" * 70_000 + bytes(MIB)
    for name, content in (("vm.ovf", ovf()), ("vm.mf", manifest(("vm.ovf", ovf()), ("disk.vmdk", data)))):
        (tmp_path / name).write_bytes(content)
    with (tmp_path / "disk.vmdk").open("wb") as sparse:
        sparse.truncate(len(data))
        for at in (MIB, 3 * MIB + 5000):
            sparse.seek(at)
            sparse.write(data[at : at + (5000 if at == MIB else 70_000)])
    image = subprocess.run(
        ["tar", "-c", "--sparse", *f"--format={kind}".split(), "vm.ovf", "vm.mf", "disk.vmdk"],
        cwd=tmp_path, check=True, capture_output=True,
    ).stdout  # fmt: skip
    assert len(image) < MIB
    extraction = extracted(cut(image, range(0, len(image), 700)))
    assert (extraction.code, extraction.data == data, extraction.properties["manifest"]) == (
        None,
        True,
        "sha256 verified",
    )


@pytest.mark.parametrize("format", FORMATS[1:])
def test_long_names_are_read(format: int) -> None:
    name = "d" * 90 + "/" + "n" * 150 + ".vmdk"
    extraction = extracted(ova((name, DISK), descriptor=ovf(files=file(name)), format=format))
    assert (extraction.data, extraction.properties["disk"]) == (DISK, name)


def test_files_are_named_relative_to_the_descriptor() -> None:
    listed = manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK))
    folder = special("./appliance/", tarfile.DIRTYPE)
    extraction = extracted(
        tar(folder, ("./appliance/vm.ovf", ovf()), ("appliance/vm.mf", listed), ("appliance/disk.vmdk", DISK))
    )
    assert (extraction.code, extraction.data, extraction.properties["disk"]) == (None, DISK, "appliance/disk.vmdk")
    assert extraction.properties["manifest"] == "sha256 verified"
    assert ova_code(tar(("appliance/vm.ovf", ovf()), ("disk.vmdk", DISK))) == "ova-no-disk"


def test_a_name_may_be_percent_encoded() -> None:
    extraction = extracted(ova(("my disk.vmdk", DISK), descriptor=ovf(files=file("my%20disk.vmdk"))))
    assert (extraction.code, extraction.data) == (None, DISK)


TWO = ovf(
    files=file() + file("other.vmdk", "file2") + file("tools.iso", "file3"),
    disks=disk("empty", "") + disk() + disk("disk2", "file2"),
)
SEVERAL = (("disk.vmdk", DISK), ("other.vmdk", b"the other"), ("tools.iso", b"no disk"))


def test_several_disks_without_a_choice_are_refused_with_their_names() -> None:
    extraction = extracted(ova(*SEVERAL, descriptor=TWO))
    assert (extraction.code, extraction.data) == ("ova-disks", b"")
    assert "'disk.vmdk', 'other.vmdk';" in extraction.message


@pytest.mark.parametrize(
    ("selector", "data"),
    [(0, DISK), (1, b"the other"), ("file2", b"the other"), ("other.vmdk", b"the other"), ("disk1", DISK)],
)
def test_the_operator_chooses_among_several_disks(selector: int | str, data: bytes) -> None:
    extraction = extracted(ova(*SEVERAL, descriptor=TWO), disk=selector)
    assert (extraction.code, extraction.data, extraction.properties["disks"]) == (None, data, 2)


@pytest.mark.parametrize("selector", [2, "file3", "tools.iso", "nothing", ""])
def test_a_missing_choice_is_refused_with_the_names(selector: int | str) -> None:
    extraction = extracted(ova(*SEVERAL, descriptor=TWO), disk=selector)
    assert extraction.code == "ova-disks"
    assert "'other.vmdk'" in extraction.message


def test_two_disks_in_one_file_are_one_image() -> None:
    assert extracted(ova(descriptor=ovf(disks=disk() + disk("disk2", "file1")))).data == DISK


def test_false_claims_of_the_descriptor_give_warnings() -> None:
    description = ovf(files=file(size=5) + file("nvram.bin", "file2"))
    extraction = extracted(ova(descriptor=description))
    assert (extraction.data, extraction.warnings) == (DISK, ["ova-file-size", "ova-file-missing"])


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"x",
        b"<html></html>",
        bytes(20_000),
        DISK,
        b"QFI\xfb" + bytes(2000),
        tar(("readme.txt", b"no appliance")),
        tar(("layer/link", b""), special("layer/passwd", tarfile.SYMTYPE, "/etc/passwd"), ("manifest.json", b"[]")),
        tar(("a.mf", b"x"), ("b.mf", b"y"), ("META-INF/MANIFEST.MF", b"z")),
    ],
    ids=["empty", "short", "html", "zeros", "disk", "qcow2", "tar", "layers", "jar"],
)
@pytest.mark.parametrize("any_order", [False, True])
def test_an_image_that_is_no_appliance_passes_unchanged(image: bytes, any_order: bool) -> None:
    extraction = extracted(image, any_order=any_order)
    assert (extraction.is_unchanged, extraction.code, extraction.data, extraction.formats) == (True, None, b"", [])


def test_only_the_beginning_of_other_images_is_read() -> None:
    for image in (b"x" * (9 * MIB), tar(*((f"{at}.txt", bytes(500_000)) for at in range(20)))):
        extraction = extracted(cut(image, range(0, len(image), 64 << 10)))
        assert (extraction.is_unchanged, extraction.source.given_bytes <= 2 * MIB) == (True, True)


@pytest.mark.parametrize("any_order", [False, True])
def test_an_image_declared_as_an_appliance_must_be_one(any_order: bool) -> None:
    declared = {"container_format": "ova"}
    for image, code in ((DISK, "ova-archive"), (tar(("readme.txt", b"")), "ova-descriptor")):
        assert extracted(image, declared, any_order=any_order).code == code
    assert extracted(ova(), declared, any_order=any_order).data == DISK


@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf", b"\n<!-- a comment -->"])
def test_a_descriptor_without_its_disk_is_refused_with_the_remedy(head: bytes) -> None:
    extraction = extracted(head + ovf().partition(b"?>")[2].lstrip())
    assert (extraction.code, "tar -cf" in extraction.message) == ("ova-descriptor-alone", True)


def test_an_archive_may_lack_its_end_mark() -> None:
    from support.images.tar import tar_header

    image = beginning() + tar_header(b"disk.vmdk", len(DISK)) + DISK
    extraction = extracted(image)
    assert (extraction.code, extraction.data, extraction.warnings) == (None, DISK, ["ova-no-end-mark"])


def test_bytes_after_the_end_give_a_warning() -> None:
    assert extracted(ova() + bytes(99_999)).warnings == []
    assert extracted(ova() + bytes(9_999) + b"x").warnings == ["ova-trailing-data"]


@pytest.mark.parametrize(
    "config",
    [{"disk": -1}, {"max_members": 1}, {"manifest": "ignore", "signature": "required"}, {"signature": "required"}],
)
def test_a_contradicting_configuration_is_an_error(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"'(disk|max_members|signature)'"):
        Ova(**config)


def test_members_after_the_disk_may_be_long() -> None:
    image = ova(("disk.vmdk", DISK), ("other.bin", bytes(300_000)), ("more.txt", b"x" * 5))
    assert extracted(cut(image, range(0, len(image), 1000))).data == DISK


def test_a_collection_of_systems_is_accepted() -> None:
    systems = SYSTEM.format(id="a", inside="") + SYSTEM.format(id="b", inside="")
    assert extracted(ova(descriptor=ovf(systems=systems))).data == DISK
