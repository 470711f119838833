"""VMDK: sparse extents with their descriptor. Images of real tools pass; images that name other files, contradict
themselves or are damaged do not."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, details, examine, fields, names, refused
from support.images import SECTOR, packed_into
from support.images.vmdk import sparse_header, vmdk_text

MiB = 1 << 20
Images = Callable[..., bytes]
NOISE = bytes(range(256)) * 256
DATA = NOISE + bytes(3 * MiB) + NOISE * 4 + bytes(4 * MiB) + b"end"
DATA += bytes(-len(DATA) % SECTOR)

KINDS = {
    "monolithicSparse": (),
    "streamOptimized": ("-o", "subformat=streamOptimized"),
}
QEMU_OPTIONS = [
    ("-o", "adapter_type=lsilogic"),
    ("-o", "compat6"),
    ("-o", "zeroed_grain=on"),
    ("-o", "subformat=streamOptimized,adapter_type=lsilogic,hwversion=13"),
]


def embedded(image: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """`image` with its descriptor changed."""
    area = image[512 : 512 + 20 * 512]
    text = change(area.rstrip(b"\0"))
    return image[:512] + text.ljust(len(area), b"\0") + image[512 + len(area) :]


@pytest.fixture
def sparse(qemu_img: Images) -> bytes:
    return qemu_img("vmdk", data=DATA)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [4096, 65537, MiB])
def test_images_of_qemu_pass(qemu_img: Images, kind: str, cut: int) -> None:
    examination = examine(qemu_img("vmdk", *KINDS[kind], data=DATA), cut=cut)
    assert names(examination) == ["vmdk"]
    assert codes(examination) == set()
    assert examination.matches[0].variant == kind
    assert examination.matches[0].virtual_size == len(DATA)
    assert fields(examination.matches[0])["createType"] == kind


@pytest.mark.parametrize("options", QEMU_OPTIONS, ids=lambda options: options[1])
@pytest.mark.parametrize("size", [0, 512, 65536 + 512, 33 * MiB, 100 << 30])
def test_every_option_and_size_of_qemu_passes(qemu_img: Images, options: tuple[str, ...], size: int) -> None:
    examination = examine(qemu_img("vmdk", *options, size=size))
    assert names(examination) == ["vmdk"]
    assert refused(examination) == set() if size else {"external-extent"}
    assert examination.matches[0].virtual_size == size


def test_descriptors_of_other_writers_pass(sparse: bytes) -> None:
    def windows_ends(text: bytes) -> bytes:
        return text.replace(b"\n", b"\r\n")

    def name_in_utf8(text: bytes) -> bytes:
        quoted = text.split(b'SPARSE "')
        return quoted[0] + 'SPARSE "Müller-磁盘.vmdk"\n'.encode() + quoted[1].partition(b"\n")[2]

    assert codes(examine(embedded(sparse, windows_ends))) == set()
    assert codes(examine(embedded(sparse, name_in_utf8))) == {"odd"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('RW {sectors} SPARSE "/etc/passwd"', "external-extent"),
        ('RW {sectors} SPARSE "..\\other.vmdk"', "external-extent"),
        ('RW {sectors} SPARSE "nbd:127.0.0.1:10809"', "external-extent"),
        ('RW {sectors} SPARSE ""', "external-extent"),
        ('RW {sectors} FLAT "/etc/passwd" 0', "external-extent"),
        ('rw {sectors} flat "/etc/passwd" 0', "external-extent"),
        ('RW {sectors} SPARSE "a.vmdk"\nRW 8 FLAT "/etc/passwd" 0', "external-extent"),
        ('RW 8 SPARSE "a.vmdk"', "header"),
        ("", "descriptor"),
        ('RW {sectors} SPARSE "a.vmdk"\nRW many FLAT "/etc/passwd" 0', "descriptor"),
        ('RW {sectors} SPARSE "a.vmdk"\nparentFileNameHint="/etc/passwd"', "parent"),
        ('RW {sectors} SPARSE "a.vmdk"\n# ParentFileNameHint="/etc/passwd"', "parent"),
        ('RW {sectors} SPARSE "a.vmdk"\nparentCID=deadbeef', "descriptor"),
        ('RW {sectors} SPARSE "a.vmdk"\nchangeTrackPath="a-ctk.vmdk"', "external-extent"),
        ('RW {sectors} SPARSE "a.vmdk"\n\0parentFileNameHint="x"', "descriptor"),
        ('RW {sectors} SPARSE "a.vmdk"\rRW 8 FLAT "/etc/passwd" 0', "descriptor"),
        ('RW {sectors} SPARSE "a.vmdk"\ncl\xe9="a"', "descriptor"),
    ],
)
def test_descriptor_with_other_extents_is_refused(sparse: bytes, line: str, code: str) -> None:
    text = vmdk_text(line.format(sectors=len(DATA) // SECTOR), "monolithicSparse")
    examination = examine(embedded(sparse, lambda _: text))
    assert code in refused(examination)
    assert examination.matches[0].name == "vmdk"


def test_parent_cid_alone_is_refused(sparse: bytes) -> None:
    image = embedded(sparse, lambda text: text.replace(b"parentCID=ffffffff", b"parentCID=12345678"))
    assert refused(image) == {"parent"}


@pytest.mark.parametrize("kind", ["monolithicFlat", "twoGbMaxExtentSparse", "custom", ""])
def test_wrong_createtype_is_refused(sparse: bytes, kind: str) -> None:
    text = vmdk_text(f'RW {len(DATA) // SECTOR} SPARSE "a.vmdk"', kind)
    assert refused(embedded(sparse, lambda _: text)) == {"descriptor"}


def test_second_descriptor_for_qemu_is_refused(sparse: bytes) -> None:
    """The header may place the descriptor elsewhere, but qemu searches the parent at 512."""
    text = vmdk_text(f'RW {len(DATA) // SECTOR} SPARSE "a.vmdk"', "monolithicSparse")
    elsewhere = len(sparse) // SECTOR
    image = packed_into(sparse + text.ljust(20 * SECTOR, b"\0"), 28, "<Q", elsewhere)
    assert refused(image) == {"descriptor"}
    hidden = embedded(image, lambda old: old + b'parentFileNameHint="/etc/passwd"\n')
    assert refused(hidden) == {"descriptor", "parent"}


def test_parent_after_the_end_of_the_descriptor_is_found_as_by_qemu(sparse: bytes) -> None:
    """The header states the length of the descriptor, but qemu reads 20 sectors."""
    text = vmdk_text(f'RW {len(DATA) // SECTOR} SPARSE "a.vmdk"', "monolithicSparse").ljust(512, b"\n")
    image = packed_into(embedded(sparse, lambda _: text + b'parentFileNameHint="/etc/passwd"\n'), 36, "<Q", 1)
    assert refused(image) == {"parent"}


def test_extent_without_descriptor_is_refused(qemu_img: Images, sparse: bytes) -> None:
    for image in (packed_into(sparse, 28, "<QQ", 0, 0), sparse[:512] + bytes(20 * 512) + sparse[512 + 20 * 512 :]):
        examination = examine(image)
        assert names(examination) == ["vmdk-extent"]
        assert "subformat" in refused(examination)
        assert examination.matches[0].disk_format == "vmdk"


@pytest.mark.parametrize(
    ("at", "layout", "value", "code"),
    [
        (4, "<I", 0, "version"),
        (4, "<I", 9, "version"),
        (8, "<I", 0x40003, "unknown-feature"),
        (8, "<I", 0x10003, "header"),
        (12, "<Q", 0, "external-extent"),
        (12, "<Q", 1 << 63, "virtual-size"),
        (12, "<Q", 8, "header"),
        (20, "<Q", 0, "header"),
        (20, "<Q", 100, "header"),
        (20, "<Q", 1 << 62, "header"),
        (28, "<Q", 1 << 54, "outside-file"),
        (36, "<Q", 1 << 40, "header"),
        (44, "<I", 0, "header"),
        (44, "<I", 513, "header"),
        (48, "<Q", 1 << 50, "outside-file"),
        (56, "<Q", 1 << 50, "outside-file"),
        (56, "<Q", 1, "overlap"),
        (56, "<Q", (1 << 64) - 1, "truncated"),
        (64, "<Q", 1 << 40, "outside-file"),
        (73, "<I", 0x0A0A200A, "corrupt"),
        (77, "<H", 1, "header"),
        (77, "<H", 2, "unknown-feature"),
    ],
)
def test_impossible_header_is_refused(sparse: bytes, at: int, layout: str, value: int, code: str) -> None:
    assert code in refused(packed_into(sparse, at, layout, value))


def test_unusual_images_are_odd_and_pass(sparse: bytes) -> None:
    encrypted = embedded(sparse, lambda text: text + b'encryptionKeys="vmware:key/list"\n')
    assert codes(examine(encrypted)) == {"encrypted"}
    assert "odd" in codes(examine(packed_into(sparse, 20, "<Q", 4)))


def test_headers_with_several_impossible_fields_are_refused(sparse: bytes) -> None:
    examination = examine(packed_into(packed_into(sparse, 12, "<QQ", 1 << 30, 1), 44, "<I", 1))
    assert "grain tables, but" in details(examination)
    assert refused(sparse[:300]) == {"truncated"}
    hidden = examine(packed_into(sparse, 28, "<QQ", 0, 0))
    assert refused(hidden) == {"subformat", "descriptor"}


def test_directory_among_other_tables_is_refused(sparse: bytes) -> None:
    examination = examine(packed_into(sparse, 56, "<Q", 5))
    assert "overlaps the descriptor" in details(examination)


def test_uncompressed_extent_may_have_its_directory_in_a_footer(sparse: bytes) -> None:
    def footed(directory: int) -> bytes:
        header = packed_into(sparse[:512], 56, "<Q", (1 << 64) - 1)
        marker, end = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0"), bytes(512)
        return header + sparse[512:] + marker + packed_into(header, 56, "<Q", directory) + end

    assert codes(examine(footed(100))) == {"unchecked"}
    assert refused(footed(1 << 40)) == {"outside-file"}


def test_unclosed_image_is_dirty(sparse: bytes) -> None:
    examination = examine(packed_into(sparse, 72, "B", 1))
    assert codes(examination) == {"dirty"}


def test_tables_that_point_outside_or_into_tables_are_refused(sparse: bytes) -> None:
    (directory,) = struct.unpack_from("<Q", sparse, 56)
    (table,) = struct.unpack_from("<I", sparse, directory * SECTOR)
    for at in (directory, table):
        assert refused(packed_into(sparse, at * SECTOR, "<I", 0x7FFFFFFF)) == {"outside-file"}
        assert "overlap" in refused(packed_into(sparse, at * SECTOR, "<I", 1))
    (grain,) = struct.unpack_from("<I", sparse, table * SECTOR)
    assert refused(packed_into(sparse, table * SECTOR + 4, "<I", grain)) == {"overlap"}
    assert refused(sparse[: len(sparse) - 65536]) == {"outside-file"}


def test_huge_claimed_directory_is_refused_without_cost() -> None:
    header = sparse_header(1 << 36, compressed=False, directory=21)
    image = (
        header + vmdk_text(f'RW {1 << 36} SPARSE "a.vmdk"', "monolithicSparse").ljust(20 * SECTOR, b"\0") + bytes(70000)
    )
    assert refused(examine(image, size_known=False)) == {"outside-file"}


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_changed_headers_do_not_depend_on_chunks(qemu_img: Images, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    image = bytearray(qemu_img("vmdk", *KINDS[kind], data=DATA[:65536]))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, 80) | st.integers(512, 900) | st.integers(0, len(image) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        image[at : at + len(piece)] = piece
    del image[data.draw(st.integers(0, len(image)) | st.just(len(image))) :]
    cut = data.draw(st.integers(1000, 200_000))
    size_known = data.draw(st.booleans())
    assert_cuts_agree(bytes(image), cut, size_known=size_known)


@pytest.mark.parametrize("digits", range(1, 9))
def test_remains_of_a_longer_cid_pass(qemu_img: Images, digits: int) -> None:
    """At the first write qemu writes a new CID over the old text, which may be longer."""
    image = qemu_img("vmdk")
    descriptor = image[512 : 512 + 20 * 512].rstrip(b"\0")
    old = descriptor.partition(b"\nCID=")[2].partition(b"\n")[0]
    longer = descriptor.replace(b"\nCID=" + old, b"\nCID=fedcba98", 1)
    newer = descriptor.replace(b"\nCID=" + old, b"\nCID=" + b"7" * digits, 1) + b"\0"
    remains = newer + longer[len(newer) :]
    assert codes(examine(image[:512] + remains.ljust(20 * 512, b"\0") + image[512 + 20 * 512 :])) == set()
    hidden = newer + b"RW 1 FLAT"
    assert refused(image[:512] + hidden.ljust(20 * 512, b"\0") + image[512 + 20 * 512 :]) == {"descriptor"}
