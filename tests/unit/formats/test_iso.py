"""ISO 9660 and UDF: boot media of every kind pass, truncated and contradictory images do not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, examine, examine_file, names
from support.images.partitions import run

PVD = 32768
JOLIET = ("-J",)
BIOS = ("-b", "boot/bios.img", "-c", "boot/catalog", "-no-emul-boot", "-boot-load-size", "4")


@pytest.fixture(scope="session")
def xorriso(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """``xorriso(*options)``: an ISO of a few files with Rock Ridge and these options of mkisofs."""
    folder = tmp_path_factory.mktemp("xorriso")
    files = folder / "files"
    (files / "boot").mkdir(parents=True)
    (files / "read.me").write_text("a file\n" * 100)
    (files / "boot" / "bios.img").write_bytes(bytes(50_000))
    (files / "boot" / "efi.img").write_bytes(bytes(300_000))
    images: dict[tuple[str, ...], bytes] = {}

    def make(*options: str) -> bytes:
        if options not in images:
            target = folder / f"{len(images)}.iso"
            words = [one.replace("EFI", str(files / "boot" / "efi.img")) for one in options]
            run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", "TEST", "-o", target, *words, files)
            images[options] = target.read_bytes()
        return images[options]

    return make


@pytest.mark.parametrize("size_known", [True, False])
def test_fields_of_an_iso_are_noted(xorriso: Callable[..., bytes], size_known: bool) -> None:
    image = xorriso(*JOLIET, *BIOS)
    examination = examine(image, size_known=size_known)
    (match,) = examination.matches
    assert (match.name, match.disk_format, match.variant, match.virtual_size) == ("iso", "iso", "Joliet", len(image))
    assert not examination.findings
    noted = {field.name: field.value for field in match.fields}
    assert noted["volume"] == "TEST"
    assert noted["Rock Ridge"] == "in use"
    assert str(noted["boot catalog"]).startswith("El Torito, sector ")


HYBRIDS = {
    "mbr": (*BIOS, "-partition_offset", "16", "-append_partition", "2", "0xef", "EFI"),
    "gpt": (*BIOS, "-partition_offset", "16", "-append_partition", "2", "0xef", "EFI", "-appended_part_as_gpt"),
    "mac": ("-hfsplus",),
}


@pytest.mark.parametrize("table", HYBRIDS)
def test_hybrid_iso_passes(xorriso: Callable[..., bytes], table: str) -> None:
    examination = examine(xorriso(*HYBRIDS[table]))
    assert names(examination) == ["iso", table]
    assert not examination.findings


def hybrid_as_debian_makes_it(image: bytes) -> bytearray:
    """The MBR of an isohybrid: the first partition begins at 0 and contains the second, and both are active."""
    sectors = len(image) // 512
    hybrid = bytearray(image)
    first = struct.pack("<B3sB3sII", 0x80, bytes(3), 0, bytes(3), 0, sectors)
    second = struct.pack("<B3sB3sII", 0, bytes(3), 0xEF, bytes(3), 1000, 200)
    hybrid[446:512] = (first + second).ljust(64, b"\0") + b"\x55\xaa"
    return hybrid


def test_partition_inside_the_iso_partition_passes(xorriso: Callable[..., bytes]) -> None:
    hybrid = hybrid_as_debian_makes_it(xorriso(*JOLIET))
    assert names(examine(hybrid)) == ["iso", "mbr"]
    assert not examine(hybrid).findings
    hybrid[PVD : PVD + 2048] = bytes(2048)  # without the ISO it is a table that contradicts itself
    assert codes(examine(hybrid)) == {"partition-table"}


def change(at: int, to: bytes) -> Callable[[bytearray], None]:
    def apply(image: bytearray) -> None:
        image[at : at + len(to)] = to

    return apply


def root(image: bytes) -> int:
    """The offset of the root directory."""
    return int.from_bytes(image[PVD + 158 : PVD + 162], "little") * 2048


@pytest.mark.parametrize(
    ("make", "code"),
    [
        pytest.param(change(PVD + 6, b"0"), "version", id="version"),
        pytest.param(change(PVD + 80, b"\xff\xff\xff\xff"), "truncated", id="volume"),
        pytest.param(change(PVD + 84, b"\xff\xff\xff\xff"), "header", id="big-endian-volume"),
        pytest.param(change(PVD + 84, bytes(4)), "odd", id="no-big-endian-volume"),
        pytest.param(change(PVD + 128, b"\x01\x08"), "header", id="block"),
        pytest.param(change(PVD + 80, bytes(8)), "header", id="no-blocks"),
        pytest.param(change(PVD + 140, b"\xff\xff\xff\x7f"), "outside-file", id="path-table"),
        pytest.param(change(PVD + 156, b"\x21"), "header", id="root-record"),
        pytest.param(change(PVD + 158, b"\xff\xff\xff\x7f"), "outside-file", id="root-far"),
        pytest.param(change(PVD + 166, bytes(4)), "header", id="root-empty"),
        pytest.param(change(PVD + 2048, b"\x01CD001\x01"), "header", id="two-volumes"),
    ],
)
def test_impossible_volume_descriptor_is_found(
    xorriso: Callable[..., bytes], make: Callable[[bytearray], None], code: str
) -> None:
    image = bytearray(xorriso())
    make(image)
    for size_known in (True, False):
        examination = examine(image, size_known=size_known)
        assert names(examination) == ["iso"]
        assert code in codes(examination)


@pytest.mark.parametrize(
    ("at", "to", "code"),
    [
        (0, bytes(40), "header"),  # no record at all
        (0, b"\x02", "header"),  # as in a fuzzer's finding of libcdio
        (2, b"\0\1\0\0\0\0\1\0", "odd"),  # it says that it is another directory
        (32, b"\x05", "header"),  # a name longer than the record
    ],
)
def test_invalid_root_directory_is_found(xorriso: Callable[..., bytes], at: int, to: bytes, code: str) -> None:
    image = bytearray(xorriso())
    begin = root(image) + at
    image[begin : begin + len(to)] = to
    assert codes(examine(image)) == {code}


def test_file_outside_the_image_is_found(xorriso: Callable[..., bytes]) -> None:
    image = bytearray(xorriso())
    begin = image.index(b"READ.ME;1") - 33
    image[begin + 2 : begin + 10] = struct.pack("<I", 1 << 30) + struct.pack(">I", 1 << 30)
    (finding,) = examine(image).findings
    assert finding.code == "outside-file"
    assert "READ.ME" in finding.detail


def test_file_with_two_places_is_found(xorriso: Callable[..., bytes]) -> None:
    image = bytearray(xorriso())
    image[image.index(b"READ.ME;1") - 33 + 9] ^= 1
    assert codes(examine(image)) == {"header"}


def test_name_longer_than_its_record_is_found(xorriso: Callable[..., bytes]) -> None:
    image = bytearray(xorriso())
    image[image.index(b"READ.ME;1") - 1] = 250
    assert codes(examine(image)) == {"header"}


def test_truncated_iso_is_found(xorriso: Callable[..., bytes]) -> None:
    image = xorriso()
    for end in (PVD + 2048, len(image) // 2, len(image) - 1):
        assert "truncated" in codes(examine(image[:end]))


def test_bytes_after_the_volume_pass(xorriso: Callable[..., bytes]) -> None:
    assert not examine(xorriso() + bytes(1 << 20)).findings


def test_later_volume_descriptor_is_found_as_by_linux(xorriso: Callable[..., bytes]) -> None:
    image = xorriso()
    moved = bytearray(image)
    moved[PVD : PVD + 4096] = bytes(2048) + image[PVD : PVD + 2048]
    assert names(examine(moved)) == ["iso"]
    assert codes(examine(moved)) == {"odd"}


@pytest.mark.parametrize("block", ["512", "2048", "4096"])
def test_fields_of_udf_are_noted(tmp_path: Path, block: str) -> None:
    run("mkudffs", "-b", block, "--new-file", tmp_path / "disk", "4096")
    examination = examine_file(tmp_path / "disk", cut=100_000)
    (match,) = examination.matches
    assert (match.name, match.disk_format, match.virtual_size) == ("udf", "iso", 4096 * int(block))
    assert not examination.findings
    noted = {field.name: field.value for field in match.fields}
    assert noted["anchor"] == f"sector 256 of {block} bytes"
    assert noted["volume"] == "LinuxUDF"


def test_truncated_udf_is_found(tmp_path: Path) -> None:
    run("mkudffs", "-b", "2048", "--new-file", tmp_path / "disk", "4096")
    assert codes(examine((tmp_path / "disk").read_bytes()[: 4 << 20])) == {"outside-file"}


def test_udf_beside_iso_9660_passes(xorriso: Callable[..., bytes]) -> None:
    image = bytearray(xorriso())
    end = next(at for at in range(PVD, 1 << 20, 2048) if image[at] == 255)
    for number, name in enumerate((b"BEA01", b"NSR02", b"TEA01")):
        image[end + 2048 * (number + 1) : end + 2048 * (number + 2)] = (b"\0" + name + b"\1").ljust(2048, b"\0")
    examination = examine(image)
    assert names(examination) == ["iso", "udf"]
    assert "ambiguous" not in codes(examination)
    assert examination.matches[0].variant == "UDF"


def test_raw_cd_sectors_are_raw() -> None:
    sector = b"\0" + b"\xff" * 10 + b"\0" + bytes(2340)
    (match,) = examine(sector * 100).matches
    assert (match.name, match.disk_format) == ("cd-sectors", "raw")


@given(data=st.data())
def test_changed_iso_does_not_fail_the_reader(xorriso: Callable[..., bytes], data: st.DataObject) -> None:
    image = bytearray(xorriso(*JOLIET))[: 300 << 10]
    places = [PVD, PVD + 80, PVD + 156, PVD + 2048, PVD + 4096, root(image)]
    for _ in range(data.draw(st.integers(0, 8))):
        base = data.draw(st.sampled_from(places))
        image[base + data.draw(st.integers(0, 40))] = data.draw(st.integers(0, 255))
    image = image[: data.draw(st.sampled_from([len(image), data.draw(st.integers(0, len(image)))]))]
    assert_cuts_agree(bytes(image), cut=data.draw(st.integers(2000, 1 << 16)))
