"""OVAs: the descriptor, the manifest and the members must agree, and every disk is looked into."""

from __future__ import annotations

import gzip
import hashlib
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, details, examine, names, refused
from support.images.ova import CONTENT, SIZED_DISK, SIZED_FILE, sized_ova, sized_ovf
from support.images.tar import tar

GiB = 1 << 30
HOSTILE = tar(("../../x", b"1"))
"""An archive, as it is the one format that every test has; what is found in it stands for a disk's finding."""


def manifest(*files: tuple[str, bytes], algorithm: str = "sha256") -> bytes:
    lines = [f"{algorithm.upper()}({name})= {hashlib.new(algorithm, data).hexdigest()}\r\n" for name, data in files]
    return "".join(lines).encode()


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("last", [True, False])
def test_a_sound_ova_has_no_findings_and_the_size_of_its_disk(format: int, algorithm: str, last: bool) -> None:
    description, disk = ("vm.ovf", sized_ovf()), ("disk.vmdk", CONTENT)
    listed = ("vm.mf", manifest(description, disk, algorithm=algorithm))
    members = [description, disk, listed] if last else [description, listed, ("vm.cert", b"PEM"), disk]
    found = examine(tar(*members, format=format))
    assert names(found) == ["ova"]
    assert codes(found) == set()
    assert found.matches[0].virtual_size == 3 * GiB
    assert (found.matches[0].kind, found.matches[0].disk_format, found.matches[0].variant) == ("archive", "raw", "1")


@pytest.mark.parametrize(
    ("namespace", "version"),
    [
        ("http://www.vmware.com/schema/ovf/1/envelope", "0.9"),
        ("http://schemas.dmtf.org/ovf/1/envelope", "1"),
        ("http://schemas.dmtf.org/ovf/envelope/2", "2"),
    ],
)
def test_each_version_is_read(namespace: str, version: str) -> None:
    found = examine(sized_ova(descriptor=sized_ovf(namespace=namespace)))
    assert (codes(found), found.matches[0].variant, found.matches[0].virtual_size) == (set(), version, 3 * GiB)


def test_with_two_disks_none_is_the_size() -> None:
    files = SIZED_FILE + SIZED_FILE.replace("disk.vmdk", "other.vmdk").replace("file1", "file2")
    disks = SIZED_DISK + SIZED_DISK.replace("disk1", "disk2").replace("file1", "file2")
    found = examine(sized_ova(("disk.vmdk", CONTENT), ("other.vmdk", CONTENT), descriptor=sized_ovf(files, disks)))
    assert (codes(found), found.matches[0].virtual_size) == (set(), None)


@pytest.mark.parametrize("cut", [700, 1 << 20])
def test_what_is_found_in_a_disk_comes_out(cut: int) -> None:
    found = examine(sized_ova(("disk.vmdk", HOSTILE)), cut=cut)
    assert refused(found) == {"member-name"}
    assert [(name, names(inner)) for name, inner in found.matches[0].inner] == [("disk.vmdk", ["tar"])]


def test_a_disk_that_nothing_speaks_of_is_looked_into_too() -> None:
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
def test_a_reference_to_what_is_not_in_the_archive_is_refused(href: str) -> None:
    assert refused(sized_ova(descriptor=sized_ovf(SIZED_FILE.replace("disk.vmdk", href)))) == {"ovf"}


def test_a_reference_may_be_percent_encoded() -> None:
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
def test_a_description_that_cannot_be_used_is_refused(files: str, disks: str) -> None:
    assert refused(sized_ova(descriptor=sized_ovf(files, disks))) == {"ovf"}


def test_a_disk_that_is_the_difference_to_another_is_refused() -> None:
    assert refused(sized_ova(descriptor=sized_ovf(disks=SIZED_DISK.replace("/>", ' ovf:parentRef="base"/>')))) == {
        "parent"
    }


def test_a_disk_that_is_missing_or_a_link_is_refused() -> None:
    link = tarfile.TarInfo("disk.vmdk")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert refused(sized_ova(("vm.txt", b"1"))) == {"ovf"}
    assert refused(sized_ova(link)) == {"ovf", "member-type"}


def test_two_descriptors_are_refused_and_one_that_is_late_is_odd() -> None:
    assert refused(sized_ova(("disk.vmdk", CONTENT), ("b.ovf", sized_ovf()))) == {"ovf"}
    assert codes(examine(tar(("disk.vmdk", CONTENT), ("vm.ovf", sized_ovf())))) == {"odd"}


def test_a_size_that_is_told_wrong_is_odd() -> None:
    assert codes(examine(sized_ova(("disk.vmdk", CONTENT + b"1")))) == {"odd"}


def test_a_descriptor_that_is_too_long_is_refused() -> None:
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
def test_a_manifest_that_does_not_agree_is_refused(lines: bytes) -> None:
    assert refused(sized_ova(("vm.mf", lines), ("disk.vmdk", CONTENT))) == {"manifest"}


def test_a_manifest_may_be_written_in_other_ways_and_one_that_leaves_out_the_disk_is_odd() -> None:
    spaced = manifest(("vm.ovf", sized_ovf()), ("disk.vmdk", CONTENT)).replace(b"(", b" (").replace(b")= ", b") = ")
    assert codes(examine(sized_ova(("vm.mf", b"\xef\xbb\xbf" + spaced + b"\n\n"), ("disk.vmdk", CONTENT)))) == set()
    assert codes(examine(sized_ova(("vm.mf", manifest(("vm.ovf", sized_ovf()))), ("disk.vmdk", CONTENT)))) == {"odd"}
    assert refused(sized_ova(("a.mf", spaced), ("b.mf", spaced), ("disk.vmdk", CONTENT))) == {"manifest"}


def test_a_disk_that_should_be_compressed_and_is_not_is_refused() -> None:
    description = sized_ovf(SIZED_FILE.replace("/>", ' ovf:compression="gzip"/>').replace('ovf:size="5000"', ""))
    assert refused(sized_ova(("disk.vmdk", gzip.compress(CONTENT)), descriptor=description)) == set()
    assert refused(sized_ova(descriptor=description)) == {"ovf"}


def chunked(*chunks: bytes, size: int, chunk: int = 1000, late: bool = False, first: int = 0) -> bytes:
    files = SIZED_FILE.replace("5000", str(size)).replace("/>", f' ovf:chunkSize="{chunk}"/>')
    parts = [(f"disk.vmdk.{number:09}", data) for number, data in enumerate(chunks, first)]
    description = ("vm.ovf", sized_ovf(files))
    return tar(*parts, description) if late else tar(description, *parts)


@pytest.mark.parametrize("late", [True, False])
def test_a_disk_in_chunks_is_looked_into_as_one(late: bool) -> None:
    pieces = [HOSTILE[at : at + 1000] for at in range(0, len(HOSTILE), 1000)]
    found = examine(chunked(*pieces, size=len(HOSTILE), late=late))
    assert "member-name" in refused(found)
    assert ("odd" in codes(found)) == late
    assert [(name, names(inner)) for name, inner in found.matches[0].inner] == [("disk.vmdk", ["tar"])]


def test_chunks_that_are_missing_or_in_disorder_are_refused() -> None:
    data = [b"\1" * 1000, b"\2" * 1000, b"\3" * 10]
    assert codes(examine(chunked(*data, size=2010))) == set()
    assert refused(chunked(*data[:2], size=2010)) == {"ovf"}
    assert refused(chunked(*data, size=2010, first=1)) == {"ovf", "out-of-order"}
    assert codes(examine(chunked(*data[::-1], size=2010))) == {"odd"}


@pytest.mark.parametrize("capacity", ["${size}", "", "1 GB"])
def test_a_capacity_that_is_not_known_is_no_size(capacity: str) -> None:
    found = examine(sized_ova(descriptor=sized_ovf(disks=SIZED_DISK.replace('capacity="3"', f'capacity="{capacity}"'))))
    assert (codes(found), found.matches[0].virtual_size) == (set(), None)


def test_a_capacity_that_no_disk_has_is_refused() -> None:
    assert refused(sized_ova(descriptor=sized_ovf(disks=SIZED_DISK.replace("2^30", "2^70")))) == {"virtual-size"}


def test_the_finding_says_which_file_is_meant() -> None:
    assert "'/etc/passwd'" in details(
        examine(sized_ova(descriptor=sized_ovf(SIZED_FILE.replace("disk.vmdk", "/etc/passwd"))))
    )


SOURCES = [
    sized_ova(("vm.mf", manifest(("vm.ovf", sized_ovf()), ("disk.vmdk", CONTENT))), ("disk.vmdk", CONTENT)),
    chunked(b"\1" * 1000, b"\2" * 10, size=1010),
]


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_mutants_neither_fail_nor_depend_on_how_they_are_cut(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from(SOURCES)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(512, 3000))  # in the descriptor and what follows it
        image[at : at + 1] = data.draw(st.sampled_from([b"<", b'"', b"&", b"\0", b"9", b"=", b"\xff", b"", b"a" * 600]))
    assert_cuts_agree(bytes(image), cut=data.draw(st.integers(1, 2000)))
