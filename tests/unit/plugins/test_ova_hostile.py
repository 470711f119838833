"""The transform `ova` refuses hostile and broken appliances, each with a code."""

from __future__ import annotations

import gzip
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import codes, examine
from support.images import padded
from support.images.ova import DISK, beginning, disk, file, ova, ovf
from support.images.tar import special, tar, tar_header
from support.plugin_runs import cut, extracted, ova_code

MIB = 1 << 20
DECLARED = {"container_format": "ova"}


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/cron.d/x", "a/../../b.vmdk", "c:x", "..", "a\\b", "line\nfeed", "n" * 1025,
     "../1f1b5e1c-9a3e-4ae8-9bb5-9a3f4e0c6b11"],
)  # fmt: skip
@pytest.mark.parametrize("any_order", [False, True])
def test_a_name_that_leads_out_is_refused(name: str, any_order: bool) -> None:
    more = (("disk.vmdk", DISK), (name, b"hostile"))
    for members in (more, more[::-1]):
        assert ova_code(ova(*members, format=tarfile.PAX_FORMAT), any_order=any_order) == "ova-member-name"
    archive = tar((name, b""), ("vm.ovf", ovf()), ("disk.vmdk", DISK), format=tarfile.PAX_FORMAT)
    assert ova_code(archive, any_order=any_order) == "ova-member-name"


@pytest.mark.parametrize(
    "href",
    ["/etc/passwd", "../x.vmdk", "%2e%2e/x.vmdk", "file:///etc/passwd", "http://169.254.169.254/disk.vmdk", "//host/x"],
)
def test_a_descriptor_that_names_an_external_file_is_refused(href: str) -> None:
    assert ova_code(ova(descriptor=ovf(files=file(href)))) == "ova-descriptor"


@pytest.mark.parametrize(
    "type",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"V"],
    ids=["symbolic link", "hard link", "character device", "block device", "fifo", "unknown"],
)
def test_a_disk_that_is_no_file_is_refused(type: bytes) -> None:
    assert ova_code(ova(special("disk.vmdk", type, "/etc/passwd"))) == "ova-member-type"


def test_two_members_of_one_name_are_refused() -> None:
    for name in ("disk.vmdk", "./disk.vmdk", "vm.ovf"):
        assert ova_code(ova(("disk.vmdk", DISK), (name, b"hostile"))) in ("ova-member-twice", "ova-descriptor")
    members = (("a%20b.vmdk", b"one"), ("a b.vmdk", b"another"))
    assert ova_code(ova(*members, descriptor=ovf(files=file("a%20b.vmdk")))) == "ova-member-twice"


def test_two_descriptors_are_refused() -> None:
    for second in (("other.ovf", ovf()), ("x/vm.OVF", ovf())):
        assert ova_code(ova(("disk.vmdk", DISK), second)) == "ova-descriptor"


@pytest.mark.parametrize(
    ("code", "descriptor"),
    [
        ("ova-xml", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Envelope>&x;</Envelope>'),
        ("ova-xml", b"<!DOCTYPE a [<!ENTITY a 'ha'>" + b"".join(
            f"<!ENTITY {b} '{f'&{a};' * 10}'>".encode() for a, b in zip("abcdefghi", "bcdefghij", strict=True)
        ) + b"]><Envelope>&j;</Envelope>"),
        ("ova-xml", b"<Envelope>" + b"<a>" * 200_000),
        ("ova-xml", b"<Envelope>" + b"<a/>" * 300_000 + b"</Envelope>"),
        ("ova-xml", b"no XML"),
        ("ova-xml", b""),
        ("ova-xml", b"<Envelope"),
        ("ova-descriptor", b"<Envelop/>"),
        ("ova-descriptor", b"<Envelope>" + b" " * (8 * MIB) + b"</Envelope>"),
        ("ova-descriptor", ovf(namespace="http://example.com/envelope")),
        ("ova-descriptor", ovf(disks=disk(ref="nothing"))),
        ("ova-descriptor", ovf(files=file() * 2)),
        ("ova-descriptor", ovf(files=file(compression="bzip2"))),
        ("ova-descriptor", ovf(files=file(chunkSize=0))),
        ("ova-parent", ovf(disks=disk(parentRef="disk0"))),
        ("ova-no-disk", ovf(disks=disk(ref=""))),
        ("ova-no-disk", ovf(files=file("gone.vmdk"))),
    ],
    ids=["external entity", "entities", "deep", "wide", "no xml", "empty", "cut", "no envelope", "long", "namespace",
         "reference", "ids", "compression", "chunks", "parent", "no file", "gone"],
)  # fmt: skip
@pytest.mark.parametrize("any_order", [False, True])
def test_an_unusable_descriptor_is_refused(code: str, descriptor: bytes, any_order: bool) -> None:
    image = tar(("vm.ovf", descriptor), ("disk.vmdk", DISK))
    assert ova_code(image, any_order=any_order) == code


def test_a_disk_before_its_descriptor_is_refused() -> None:
    assert ova_code(tar(("disk.vmdk", DISK), ("vm.ovf", ovf()))) == "ova-order"
    assert ova_code(tar(("disk.vmdk.000000000", DISK), ("vm.ovf", ovf()))) == "ova-order"
    assert ova_code(tar(("disk.vmdk", DISK)), any_order=True) == "ova-descriptor"


@pytest.mark.parametrize(
    "numbers", [[0, 2], [1, 0, 2], [1, 2], [0, 1], [0, 1, 1, 2]], ids=["middle", "order", "first", "last", "twice"]
)
def test_a_missing_or_misplaced_chunk_is_refused(numbers: list[int]) -> None:
    parts = [(f"disk.vmdk.{number:09}", DISK[number * 9000 : (number + 1) * 9000]) for number in numbers]
    description = ovf(files=file(chunkSize=9000, size=len(DISK)))
    assert ova_code(ova(*parts, descriptor=description)) in ("ova-chunks", "ova-member-twice")


def test_a_chunk_of_another_length_is_refused() -> None:
    description = ovf(files=file(chunkSize=100))
    for lengths in ((99, 100), (101,), (100, 101)):
        parts = [(f"disk.vmdk.{number:09}", bytes(length)) for number, length in enumerate(lengths)]
        assert ova_code(ova(*parts, descriptor=description)) == "ova-chunks"


@pytest.mark.parametrize(
    ("code", "packed"),
    [
        ("ova-compression", DISK),
        ("ova-no-disk", b""),
        ("compressed-truncated", gzip.compress(DISK)[:-9]),
        ("compressed-checksum", gzip.compress(DISK)[:-6] + bytes(6)),
        ("compressed-trailing-data", gzip.compress(DISK) + b"behind"),
    ],
)
def test_a_compressed_disk_that_cannot_be_unpacked_is_refused(code: str, packed: bytes) -> None:
    assert ova_code(ova(("disk.vmdk", packed), descriptor=ovf(files=file(compression="gzip")))) == code


def test_an_empty_disk_is_refused() -> None:
    assert ova_code(ova(("disk.vmdk", b""))) == "ova-no-disk"


SOUND = ova(format=tarfile.PAX_FORMAT)


@given(length=st.integers(512, len(SOUND)), any_order=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_truncated_archive_is_refused(length: int, any_order: bool) -> None:
    extraction = extracted(cut(SOUND[:length], range(0, length, 900)), DECLARED, any_order=any_order)
    assert extraction.code in ("ova-truncated", "ova-descriptor", "ova-no-disk", None)
    if extraction.code is None:
        assert extraction.data == DISK


@pytest.mark.parametrize("any_order", [False, True])
def test_an_archive_that_ends_inside_a_skipped_member_is_refused(any_order: bool) -> None:
    image = ova(("disk.vmdk", DISK), ("other.bin", bytes(9000)))
    end = image.index(b"other.bin") + 512 + 8999
    assert ova_code(image[: end + 1], any_order=any_order, manifest="ignore") is None
    for manifest in ("ignore", "if-present"):
        assert ova_code(image[:end], any_order=any_order, manifest=manifest) == "ova-truncated"


@given(at=st.integers(0, len(SOUND) - 1), byte=st.integers(0, 255), any_order=st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_refused_or_harmless(at: int, byte: int, any_order: bool) -> None:
    image = SOUND[:at] + bytes([byte]) + SOUND[at + 1 :]
    extraction = extracted(image, any_order=any_order)
    if extraction.code is None and not extraction.is_unchanged:
        assert len(extraction.data) == len(DISK)


@given(st.binary(max_size=2000), st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_random_bytes_after_a_header_are_refused_without_a_failure(data: bytes, blocks: int) -> None:
    extracted(SOUND[: 512 * blocks] + data)
    extracted(SOUND[: 512 * blocks] + data, any_order=True)


# bombs


def test_a_header_with_a_wrong_checksum_is_refused() -> None:
    broken = bytearray(ova())
    broken[150] ^= 1
    assert ova_code(bytes(broken)) == "ova-archive"


@pytest.mark.parametrize("size", [8 << 30, 1 << 50, 1 << 62, (1 << 88) - 1])
def test_a_false_size_is_refused(size: int) -> None:
    head = beginning()
    for member in (b"disk.vmdk", b"other.bin"):
        assert ova_code(head + tar_header(member, size) + DISK) in ("ova-truncated", "ova-member-size")
    assert ova_code(tar_header(b"vm.ovf", size) + ovf()) == "ova-descriptor" if size < 1 << 46 else "ova-member-size"


def test_a_sparse_disk_of_a_pebibyte_is_refused_at_once() -> None:
    part = b"%011o\0%011o\0" % (0, 512)
    rest = bytes(41) + part + bytes(72) + b"\0" + b"\x80" + (1 << 50).to_bytes(11, "big")
    image = beginning() + tar_header(b"disk.vmdk", 512, b"S", prefix=rest) + bytes(512 + 1024)
    extraction = extracted(image)
    assert (extraction.code, extraction.data) == ("ova-member-size", b"")


def test_endless_headers_are_refused() -> None:
    record = b"30 comment=aaaaaaaaaaaaaaaaaa\n"
    header = tar_header(b"pax", len(record), b"x") + padded(record)
    head = beginning()
    assert ova_code(head + header * 50_000) == "ova-archive"
    globals_ = tar_header(b"pax", len(record), b"g") + padded(record)
    assert ova_code(head + globals_ * 50_000) == "ova-archive"
    assert ova_code(globals_ * 50_000) == "ova-archive"


@pytest.mark.parametrize("flag", [b"x", b"g", b"L"])
def test_a_huge_extension_header_is_refused_before_it_is_read(flag: bytes) -> None:
    head = beginning()
    chunks = [head + tar_header(b"x", 4 << 30, flag), *[bytes(MIB)] * 8]
    extraction = extracted(chunks)
    assert (extraction.code, extraction.source.given_bytes < 2 * MIB) == ("ova-archive", True)


def test_too_many_members_are_refused() -> None:
    many = [(f"{number}.txt", b"") for number in range(1100)]
    assert ova_code(ova(("disk.vmdk", DISK), *many)) == "ova-members"
    assert ova_code(ova(("disk.vmdk", DISK), *many), max_members=1200) is None
    assert ova_code(ova(("disk.vmdk", DISK), ("more.txt", b"")), max_members=2) == "ova-members"
    assert extracted(tar(*many), any_order=True).is_unchanged


def test_a_manifest_or_a_certificate_that_is_too_long_is_refused() -> None:
    for name, code in (("vm.mf", "ova-manifest"), ("vm.cert", "ova-signature")):
        assert ova_code(ova((name, b" " * (MIB + 1)), ("disk.vmdk", DISK))) == code


@pytest.mark.parametrize("any_order", [False, True])
@pytest.mark.parametrize(
    "hidden",
    [
        tar_header(b"disk.vmdk", 3) + padded(b"bad"),
        tar_header(b"disk.vmdk") + bytes(10240),  # a member without data, which BusyBox's tar makes an empty file of
        tar_header(b"disk.vmdk", 0, b"2") + bytes(10240),  # a link
    ],
    ids=["file", "empty", "link"],
)
def test_bytes_after_half_an_end_mark_are_refused(hidden: bytes, any_order: bool) -> None:
    image = beginning() + tar_header(b"disk.vmdk", len(DISK)) + padded(DISK)
    assert ova_code(image + bytes(512) + hidden, any_order=any_order) == "ova-archive"
    assert codes(examine(image + bytes(512) + hidden)) >= {"archive"}


@pytest.mark.parametrize(
    "records", [{"size": "3"}, {"GNU.sparse.map": "0,9", "GNU.sparse.size": "5"}, {"SCHILY.realsize": "1"}]
)
def test_a_member_that_programs_read_differently_is_refused(records: dict[str, str]) -> None:
    info = tarfile.TarInfo("disk.vmdk")
    info.pax_headers = records
    assert ova_code(ova(info, format=tarfile.PAX_FORMAT)) == "ova-archive"
