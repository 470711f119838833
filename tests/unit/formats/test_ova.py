"""OVAs: descriptor, manifest and members must agree, and every disk is examined."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, details, examine, names, policies, refused
from support.images.ova import CONTENT, SIZED_DISK, SIZED_FILE, disk, file, sized_ova, sized_ovf
from support.images.tar import tar

GiB = 1 << 30
HOSTILE = tar(("../../x", b"1"))
"""An archive in place of a disk; its finding stands for a finding in a disk."""


def manifest(*files: tuple[str, bytes], algorithm: str = "sha256") -> bytes:
    lines = [f"{algorithm.upper()}({name})= {hashlib.new(algorithm, data).hexdigest()}\r\n" for name, data in files]
    return "".join(lines).encode()


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("last", [True, False])
def test_good_ova_passes_with_the_size_of_its_disk(format: int, algorithm: str, last: bool) -> None:
    description, disk = ("vm.ovf", sized_ovf()), ("disk.vmdk", CONTENT)
    listed = ("vm.mf", manifest(description, disk, algorithm=algorithm))
    members = [description, disk, listed] if last else [description, listed, ("vm.cert", b"PEM"), disk]
    examination = examine(tar(*members, format=format))
    assert names(examination) == ["ova"]
    assert codes(examination) == set()
    assert examination.matches[0].virtual_size == len(CONTENT)
    assert (examination.matches[0].kind, examination.matches[0].disk_format, examination.matches[0].variant) == (
        "archive",
        "raw",
        "1",
    )


@pytest.mark.parametrize(
    ("namespace", "version"),
    [
        ("http://www.vmware.com/schema/ovf/1/envelope", "0.9"),
        ("http://schemas.dmtf.org/ovf/1/envelope", "1"),
        ("http://schemas.dmtf.org/ovf/envelope/2", "2"),
    ],
)
def test_all_versions_of_ovf_are_read(namespace: str, version: str) -> None:
    examination = examine(sized_ova(descriptor=sized_ovf(namespace=namespace)))
    assert (codes(examination), examination.matches[0].variant, examination.matches[0].virtual_size) == (
        set(),
        version,
        len(CONTENT),
    )


def test_two_disks_have_no_virtual_size() -> None:
    files = SIZED_FILE + SIZED_FILE.replace("disk.vmdk", "other.vmdk").replace("file1", "file2")
    disks = SIZED_DISK + SIZED_DISK.replace("disk1", "disk2").replace("file1", "file2")
    examination = examine(
        sized_ova(("disk.vmdk", CONTENT), ("other.vmdk", CONTENT), descriptor=sized_ovf(files, disks))
    )
    assert (codes(examination), examination.matches[0].virtual_size) == (set(), None)


@pytest.mark.parametrize("cut", [700, 1 << 20])
def test_finding_in_a_disk_is_reported(cut: int) -> None:
    examination = examine(sized_ova(("disk.vmdk", HOSTILE)), cut=cut)
    assert refused(examination) == {"member-name"}
    assert [(name, names(inner)) for name, inner in examination.matches[0].inner] == [("disk.vmdk", ["tar"])]


def test_undescribed_disk_is_examined() -> None:
    assert refused(sized_ova(("disk.vmdk", CONTENT), ("readme.txt", HOSTILE))) == {"member-name"}


@pytest.mark.parametrize(
    "href",
    [
        "/etc/passwd",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/disk.vmdk",
        "//host/share",
        "C:disk.vmdk",
        "\\\\host\\share",
        "other.vmdk",
    ],
)
def test_reference_to_a_missing_member_is_refused(href: str) -> None:
    assert refused(sized_ova(descriptor=sized_ovf(SIZED_FILE.replace("disk.vmdk", href)))) == {"ovf"}


def test_reference_may_be_percent_encoded() -> None:
    assert (
        refused(
            sized_ova(
                ("my disk.vmdk", CONTENT), descriptor=sized_ovf(SIZED_FILE.replace("disk.vmdk", "my%20disk.vmdk"))
            )
        )
        == set()
    )


@pytest.mark.parametrize(
    ("files", "disks"),
    [
        (SIZED_FILE, SIZED_DISK.replace('fileRef="file1"', 'fileRef="nope"')),
        (SIZED_FILE, ""),
        (SIZED_FILE, SIZED_DISK.replace('ovf:fileRef="file1"', "")),
        (SIZED_FILE + SIZED_FILE, SIZED_DISK),
        (SIZED_FILE, SIZED_DISK + SIZED_DISK),
        (SIZED_FILE.replace("ovf:href", "href='/etc/passwd' ovf:href"), SIZED_DISK),
        (SIZED_FILE.replace("ovf:size", "size='5000' ovf:size").replace('"5000"', '"1"'), SIZED_DISK),
        (SIZED_FILE.replace("ovf:href", "nothing"), SIZED_DISK),
        (SIZED_FILE.replace('size="5000"', 'size="-1"'), SIZED_DISK),
        (SIZED_FILE.replace("/>", ' ovf:compression="rar"/>'), SIZED_DISK),
    ],
)
def test_unusable_descriptor_is_refused(files: str, disks: str) -> None:
    assert refused(sized_ova(descriptor=sized_ovf(files, disks))) == {"ovf"}


def test_differencing_disk_is_refused() -> None:
    assert refused(sized_ova(descriptor=sized_ovf(disks=SIZED_DISK.replace("/>", ' ovf:parentRef="base"/>')))) == {
        "parent"
    }


def test_missing_or_linked_disk_is_refused() -> None:
    link = tarfile.TarInfo("disk.vmdk")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert refused(sized_ova(("vm.txt", b"1"))) == {"ovf"}
    assert refused(sized_ova(link)) == {"ovf", "member-type"}


def test_two_descriptors_are_refused_and_a_late_descriptor_is_odd() -> None:
    assert refused(sized_ova(("disk.vmdk", CONTENT), ("b.ovf", sized_ovf()))) == {"ovf"}
    assert codes(examine(tar(("disk.vmdk", CONTENT), ("vm.ovf", sized_ovf())))) == {"odd"}


def test_wrong_file_size_is_odd() -> None:
    assert codes(examine(sized_ova(("disk.vmdk", CONTENT + b"1")))) == {"odd"}


def test_long_descriptor_is_refused() -> None:
    assert refused(sized_ova(descriptor=b" " * (9 << 20))) == {"ovf"}


@pytest.mark.parametrize(
    "lines",
    [
        manifest(("vm.ovf", sized_ovf()), ("disk.vmdk", CONTENT), ("gone.vmdk", b"")),
        manifest(("disk.vmdk", CONTENT), ("disk.vmdk", CONTENT)),
        b"something else\n",
        b"SHA256(disk.vmdk)= 1234\n",
        b"MD5(disk.vmdk)= 0123456789abcdef0123456789abcdef\n",
    ],
)
def test_contradictory_manifest_is_refused(lines: bytes) -> None:
    assert refused(sized_ova(("vm.mf", lines), ("disk.vmdk", CONTENT))) == {"manifest"}


def test_manifest_variants_pass_and_a_missing_disk_is_odd() -> None:
    spaced = manifest(("vm.ovf", sized_ovf()), ("disk.vmdk", CONTENT)).replace(b"(", b" (").replace(b")= ", b") = ")
    assert codes(examine(sized_ova(("vm.mf", b"\xef\xbb\xbf" + spaced + b"\n\n"), ("disk.vmdk", CONTENT)))) == set()
    assert codes(examine(sized_ova(("vm.mf", manifest(("vm.ovf", sized_ovf()))), ("disk.vmdk", CONTENT)))) == {"odd"}
    assert refused(sized_ova(("a.mf", spaced), ("b.mf", spaced), ("disk.vmdk", CONTENT))) == {"manifest"}


def test_uncompressed_disk_in_place_of_a_compressed_disk_is_refused() -> None:
    description = sized_ovf(SIZED_FILE.replace("/>", ' ovf:compression="gzip"/>').replace('ovf:size="5000"', ""))
    assert refused(sized_ova(("disk.vmdk", gzip.compress(CONTENT)), descriptor=description)) == set()
    assert refused(sized_ova(descriptor=description)) == {"ovf"}


def chunked(*chunks: bytes, size: int, chunk: int = 1000, late: bool = False, first: int = 0) -> bytes:
    files = SIZED_FILE.replace("5000", str(size)).replace("/>", f' ovf:chunkSize="{chunk}"/>')
    parts = [(f"disk.vmdk.{number:09}", data) for number, data in enumerate(chunks, first)]
    description = ("vm.ovf", sized_ovf(files))
    return tar(*parts, description) if late else tar(description, *parts)


@pytest.mark.parametrize("late", [True, False])
def test_disk_in_chunks_is_examined_as_one(late: bool) -> None:
    pieces = [HOSTILE[at : at + 1000] for at in range(0, len(HOSTILE), 1000)]
    examination = examine(chunked(*pieces, size=len(HOSTILE), late=late))
    assert "member-name" in refused(examination)
    assert ("odd" in codes(examination)) == late
    assert [(name, names(inner)) for name, inner in examination.matches[0].inner] == [("disk.vmdk", ["tar"])]


def test_missing_or_unordered_chunks_are_refused() -> None:
    data = [b"\1" * 1000, b"\2" * 1000, b"\3" * 10]
    assert codes(examine(chunked(*data, size=2010))) == set()
    assert refused(chunked(*data[:2], size=2010)) == {"ovf"}
    assert refused(chunked(*data, size=2010, first=1)) == {"ovf", "out-of-order"}
    assert codes(examine(chunked(*data[::-1], size=2010))) == {"odd"}


@pytest.mark.parametrize("capacity", ["${size}", "", "1 GB"])
def test_unknown_capacity_does_not_matter(capacity: str) -> None:
    examination = examine(
        sized_ova(descriptor=sized_ovf(disks=SIZED_DISK.replace('capacity="1"', f'capacity="{capacity}"')))
    )
    assert (codes(examination), examination.matches[0].virtual_size) == (set(), len(CONTENT))


@pytest.mark.parametrize("kind", ["vmdk", "qcow2", "vdi", "vhdx", "vpc"])
@pytest.mark.parametrize(
    ("capacity", "unit", "agrees"),
    [
        (1, "byte * 2^30", False),
        (500, "byte * 2^30", True),
        (500 << 10, "byte * 2^20", True),
        (500 << 30, "byte", True),
        (1, "byte * 2^40", True),  # rounded up, as oVirt does to GiB
        (499, "byte * 2^30", False),
        (501, "byte * 2^30", False),
    ],
)
def test_size_is_that_of_the_disk_and_another_capacity_is_a_finding(
    qemu_img: Callable[..., bytes], kind: str, capacity: int, unit: str, agrees: bool
) -> None:
    force = ("-o", "force_size=on") if kind == "vpc" else ()
    image = qemu_img(kind, *force, size=500 * GiB)
    description = sized_ovf(file(size=len(image)), disk(capacity=capacity, capacityAllocationUnits=unit))
    examination = examine(sized_ova(("disk.vmdk", image), descriptor=description))
    assert examination.matches[0].virtual_size == 500 * GiB
    assert codes(examination) == (set() if agrees else {"capacity"})
    assert policies(examination).get("capacity") == (None if agrees else "warn")


def test_size_of_a_compressed_disk_is_unknown_whatever_the_descriptor_says() -> None:
    description = sized_ovf(file(compression="gzip"), disk(capacity=1))
    examination = examine(sized_ova(("disk.vmdk", gzip.compress(CONTENT)), descriptor=description))
    assert (codes(examination), examination.matches[0].virtual_size) == (set(), None)


def test_absurd_capacity_is_refused() -> None:
    assert refused(sized_ova(descriptor=sized_ovf(disks=SIZED_DISK.replace("2^30", "2^70")))) == {"virtual-size"}


def test_finding_names_the_file() -> None:
    assert "'/etc/passwd'" in details(
        examine(sized_ova(descriptor=sized_ovf(SIZED_FILE.replace("disk.vmdk", "/etc/passwd"))))
    )


SOURCES = [
    sized_ova(("vm.mf", manifest(("vm.ovf", sized_ovf()), ("disk.vmdk", CONTENT))), ("disk.vmdk", CONTENT)),
    chunked(b"\1" * 1000, b"\2" * 10, size=1010),
]


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_mutants_do_not_fail_and_do_not_depend_on_chunks(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from(SOURCES)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(512, 3000))  # in the descriptor and what follows it
        image[at : at + 1] = data.draw(st.sampled_from([b"<", b'"', b"&", b"\0", b"9", b"=", b"\xff", b"", b"a" * 600]))
    assert_cuts_agree(bytes(image), cut=data.draw(st.integers(1, 2000)))
