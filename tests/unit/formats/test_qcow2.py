"""The header of qcow2: real images pass, and headers that qemu refuses or that name other files are found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.examination import codes, examine, fields, match_of, names, policies
from support.fuzzing.header_mutants import header_mutants
from support.fuzzing.seeds import seeds
from support.images import be, patched
from support.images.qcow2 import CLUSTER, with_extension, with_fields

MiB = 1 << 20
QemuImg = Callable[..., bytes]


@pytest.fixture
def plain(qemu_img: QemuImg) -> bytes:
    """A disk of 8 MiB without data."""
    return qemu_img("qcow2")


@pytest.mark.parametrize(
    ("options", "variant"),
    [
        ("compat=0.10", "v2"),
        ("compat=1.1", "v3"),
        ("cluster_size=512", "v3"),
        ("cluster_size=2M", "v3"),
        ("extended_l2=on", "v3"),
        ("lazy_refcounts=on", "v3"),
        ("refcount_bits=1", "v3"),
        ("refcount_bits=64", "v3"),
        ("compression_type=zstd", "v3"),
        ("preallocation=metadata", "v3"),
        ("preallocation=full,cluster_size=4k", "v3"),
    ],
)
def test_images_of_qemu_img_pass(qemu_img: QemuImg, options: str, variant: str) -> None:
    data = bytes(range(256)) * 4096 + bytes(6 * MiB) + b"end" * 1024
    for image in (qemu_img("qcow2", "-o", options), qemu_img("qcow2", "-o", options, data=data)):
        examination = examine(image)
        (match,) = examination.matches
        assert (match.name, match.disk_format, match.kind, match.variant) == ("qcow2", "qcow2", "disk", variant)
        assert match.virtual_size in (8 * MiB, 7 * MiB + 3072)
        assert not examination.findings


def test_compressed_image_passes(qemu_img: QemuImg) -> None:
    data = bytes(range(256)) * 12345
    for options in ("", "compression_type=zstd", "cluster_size=512", "cluster_size=2M", "extended_l2=on"):
        words = ["-o", options] if options else []
        assert not examine(qemu_img("qcow2", "-c", *words, data=data)).findings


def test_fields_are_noted_with_offsets(plain: bytes) -> None:
    match = match_of(plain, "qcow2")
    fields = {(field.name, field.value, field.offset) for field in match.fields}
    assert {("version", 3, 4), ("size", 8 * MiB, 24), ("cluster_bits", 16, 20), ("l1_size", 1, 36)} <= fields


@pytest.mark.parametrize("length", [4, 8, 31, 71, 72, 103, 104, 111, 511])
def test_truncated_header_is_a_truncated_qcow2(plain: bytes, length: int) -> None:
    examination = examine(plain[:length])
    assert names(examination) == ["qcow2"]
    assert codes(examination) == {"truncated"}


def test_three_bytes_of_magic_alone_are_a_truncated_qcow2(plain: bytes) -> None:
    assert names(examine(plain[:3])) == ["qcow2"]
    assert codes(examine(plain[:3])) == {"truncated"}
    assert "qcow2" not in names(examine(b"QFI ordinary bytes"))
    assert "qcow2" not in names(examine(b"QF"))


def test_truncated_image_has_its_virtual_size(plain: bytes) -> None:
    assert match_of(plain[:40], "qcow2").virtual_size == 8 * MiB


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../base", "json:{}", "nbd://host/disk", "http://host/x", "\u00e4", "n" * 1023]
)
def test_backing_file_is_refused_and_named(plain: bytes, name: str) -> None:
    raw = name.encode()
    image = patched(with_fields(plain, backing_file_offset=1024, backing_file_size=len(raw)), (1024, raw))
    match = match_of(image, "qcow2")
    assert policies(examine(image)) == {"backing-file": "refuse"}
    assert fields(match)["backing file"] == name[:200]


def test_backing_file_of_qemu_img_is_refused(qemu_img: QemuImg) -> None:
    image = qemu_img("qcow2", "-u", "-b", "/base.img", "-F", "raw")
    assert codes(examine(image)) == {"backing-file"}
    assert fields(match_of(image, "qcow2"))["backing format"] == "raw"


@pytest.mark.parametrize(
    ("offset", "length"), [(1024, 1024), (1024, 4096), (1 << 63, 5), (CLUSTER + 8, 5), (CLUSTER - 2, 5), (16, 5)]
)
def test_backing_name_at_an_impossible_offset_is_refused(plain: bytes, offset: int, length: int) -> None:
    image = with_fields(plain, backing_file_offset=offset, backing_file_size=length)
    assert {"header", "backing-file"} <= codes(examine(image))


def test_empty_backing_name_is_refused(plain: bytes) -> None:
    assert policies(examine(with_fields(plain, backing_file_offset=1024))) == {"header": "refuse"}


def test_external_data_file_is_refused(qemu_img: QemuImg) -> None:
    image = qemu_img("qcow2", "-o", "data_file=/dev/null,data_file_raw=on", size=0)
    assert "data-file" in codes(examine(image))
    assert fields(match_of(image, "qcow2"))["data file"] == "/dev/null"


def test_bit_of_a_data_file_is_refused_without_its_name(plain: bytes) -> None:
    assert policies(examine(with_fields(plain, incompatible=4))) == {"data-file": "refuse"}


def test_name_of_a_data_file_is_refused_without_its_bit(plain: bytes) -> None:
    assert policies(examine(with_extension(plain, 0x44415441, b"/etc/passwd"))) == {"data-file": "refuse"}


def test_header_extension_outside_the_header_is_refused(plain: bytes) -> None:
    image = with_extension(plain, 0x44415441, b"/etc/passwd", 0xFFFFFFF0)
    assert codes(examine(image)) == {"data-file", "header"}
    assert codes(examine(with_extension(plain, 0x12345678, b"", CLUSTER))) == {"header"}


def test_unknown_header_extension_passes(plain: bytes) -> None:
    assert not examine(with_extension(plain, 0x12345678, b"whatever it is")).findings


def test_too_many_header_extensions_are_refused(plain: bytes) -> None:
    image = patched(plain, (112, (be(0x12345678, 4) + be(0, 4)) * 400))
    assert "header" in codes(examine(image))


@pytest.mark.parametrize(
    ("bits", "findings"),
    [
        (1, {"dirty": "warn"}),
        (2, {"corrupt": "refuse"}),
        (1 << 5, {"unknown-feature": "refuse"}),
        (1 << 40, {"unknown-feature": "refuse"}),
        (1 << 63, {"unknown-feature": "refuse"}),
    ],
)
def test_incompatible_features_are_found(plain: bytes, bits: int, findings: dict[str, str]) -> None:
    assert policies(examine(with_fields(plain, incompatible=bits))) == findings


def test_unknown_compatible_and_autoclear_features_pass(plain: bytes) -> None:
    assert not examine(patched(plain, (80, be(1 << 63, 8)), (88, be(1 << 63, 8)))).findings


@pytest.mark.parametrize(("method", "code"), [(1, "encrypted"), (7, "unknown-feature")])
def test_encryption_is_found(plain: bytes, method: int, code: str) -> None:
    assert codes(examine(with_fields(plain, crypt_method=method))) == {code}


def test_luks_in_qcow2_is_encrypted(plain: bytes) -> None:
    """Built by hand, as qemu-img sometimes fails to make one on a busy machine."""
    place = -(-len(plain) // CLUSTER) * CLUSTER
    padded = plain.ljust(place, b"\0") + seeds()["luks1"][: 2 * MiB]

    def encrypted(offset: int, length: int, method: int = 2) -> bytes:
        return with_fields(with_extension(padded, 0x0537BE77, be(offset, 8) + be(length, 8)), crypt_method=method)

    assert policies(examine(encrypted(place, 2 * MiB))) == {"encrypted": "warn"}
    assert codes(examine(encrypted(place, 2 * MiB, method=1))) == {"encrypted", "header"}
    assert codes(examine(encrypted(place + 8, 2 * MiB))) == {"encrypted", "header"}
    assert codes(examine(encrypted(place, 1 << 50))) == {"encrypted", "header"}
    assert codes(examine(encrypted(100 * MiB, 2 * MiB))) == {"encrypted", "outside-file"}
    assert codes(examine(encrypted(CLUSTER, 2 * MiB))) == {"encrypted", "overlap"}


def test_luks_in_qcow2_without_its_header_is_refused(plain: bytes) -> None:
    assert codes(examine(with_fields(plain, crypt_method=2))) == {"encrypted", "header"}


@pytest.mark.parametrize(
    "values",
    [
        {"cluster_bits": 0},
        {"cluster_bits": 8},
        {"cluster_bits": 22},
        {"cluster_bits": 63},
        {"l1_size": 0xFFFFFFFF},
        {"l1_size": (32 * MiB) // 8 + 1},
        {"refcount_table_clusters": 0},
        {"refcount_table_clusters": 129},
        {"refcount_table_clusters": 0xFFFFFFFF},
        {"refcount_order": 7},
        {"nb_snapshots": 65537, "snapshots_offset": CLUSTER},
        {"header_length": 96},
        {"header_length": CLUSTER + 8},
        {"header_length": 0xFFFFFFFF},
        {"l1_table_offset": 3 * CLUSTER + 8},
        {"refcount_table_offset": 512},
        {"autoclear": 2},
        {"compression_type": 1},
        {"incompatible": 8},
        {"incompatible": 16, "cluster_bits": 13},
    ],
)
def test_headers_that_qemu_refuses_are_refused(plain: bytes, values: dict[str, int]) -> None:
    assert "header" in codes(examine(with_fields(plain, **values)))


def test_unknown_compression_is_refused(plain: bytes) -> None:
    assert codes(examine(with_fields(plain, compression_type=2, incompatible=8))) == {"unknown-feature"}


@pytest.mark.parametrize("version", [0, 4, 9, 0xFFFFFFFF])
def test_unknown_version_is_refused(plain: bytes, version: int) -> None:
    assert codes(examine(with_fields(plain, version=version))) == {"version"}


@pytest.mark.parametrize(
    ("size", "findings", "virtual_size"),
    [
        (0, {"no-disk": "warn"}, 0),
        (8 * MiB + 3, {"unaligned-size": "refuse"}, 8 * MiB),
        (1 << 50, {"virtual-size": "refuse"}, 1 << 50),
        ((1 << 63) - 512, {"virtual-size": "refuse"}, (1 << 63) - 512),
        (512 * MiB, {}, 512 * MiB),
        (512 * MiB + 512, {"virtual-size": "refuse"}, 512 * MiB + 512),
    ],
)
def test_virtual_size_is_read(plain: bytes, size: int, findings: dict[str, str], virtual_size: int) -> None:
    image = with_fields(plain, size=size)
    assert policies(examine(image)) == findings
    assert match_of(image, "qcow2").virtual_size == virtual_size


def test_bitmap_passes_and_a_wrong_bitmap_is_refused(plain: bytes) -> None:
    def with_bitmaps(count: int, size: int, offset: int, consistent: int = 1) -> bytes:
        data = be(count, 4) + be(0, 4) + be(size, 8) + be(offset, 8)
        return with_fields(with_extension(plain + bytes(CLUSTER), 0x23852875, data), autoclear=consistent)

    place = -(-len(plain) // CLUSTER) * CLUSTER
    assert not examine(with_bitmaps(1, 32, place)).findings
    assert codes(examine(with_bitmaps(0, 32, place))) == {"header"}
    assert codes(examine(with_bitmaps(1, 32, place + 8))) == {"header"}
    assert codes(examine(with_bitmaps(1, 32, 100 * CLUSTER))) == {"outside-file"}
    assert codes(examine(with_bitmaps(1, 32, 3 * CLUSTER))) == {"overlap"}
    assert not examine(with_bitmaps(0, 1 << 60, 7, consistent=0)).findings


def qcow2_seeds() -> list[bytes]:
    """Small real images of all kinds."""
    return [image for name, image in seeds().items() if name.startswith("qcow2") and len(image) < MiB]


QCOW2_SEEDS = qcow2_seeds()

test_mutants_upset_nothing = header_mutants(lambda: QCOW2_SEEDS, 200)
