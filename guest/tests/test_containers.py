"""The disk in an image is byte for byte the disk from which qemu-img made the image."""

import os
import random
import shutil
import subprocess
import zlib
from pathlib import Path
from struct import pack

import pytest
from guest_disks import CONTAINERS, SIZE, Watched, convert, digest, make_raw, mutants, opened, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane_guest.budget import Budget
from douane_guest.containers.registry import open_disk
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.guest import open_guest
from douane_guest.source import BytesSource

FORMATS = {"vpc": "vhd"}


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return make_raw(tmp_path_factory.mktemp("disks") / "raw")


@pytest.fixture(scope="module", params=CONTAINERS)
def image(request, raw, tmp_path_factory) -> tuple[str, Path]:
    driver, options = CONTAINERS[request.param]
    return driver, convert(raw, tmp_path_factory.mktemp("image") / "image", driver, options)


def rounded(raw: Path, disk) -> bytes:
    """The raw disk; a container may round its size up, at most to a sector of 4096 bytes or a mebibyte."""
    data = raw.read_bytes()
    assert len(data) <= disk.size < len(data) + (1 << 20)
    return data.ljust(disk.size, b"\0")


def test_every_container_has_the_bytes_of_the_raw_disk(image, raw):
    driver, path = image
    disk = opened(path)
    assert disk.format == FORMATS.get(driver, driver)
    data = rounded(raw, disk)
    assert digest(disk) == digest(BytesSource(data))
    assert digest(disk, step=70_001) == digest(BytesSource(data))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, 300_000)), min_size=1, max_size=8))
def test_any_range_is_that_of_the_raw_disk(image, raw, pairs):
    disk = opened_once(image[1])
    data = rounded_once(raw, disk)
    for start, length in pairs:
        count = min(length, disk.size - start)
        assert disk.pread(start, count) == data[start : start + count]


_kept: dict[object, object] = {}


def opened_once(path):
    if path not in _kept:
        _kept[path] = opened(path)
    return _kept[path]


def rounded_once(raw, disk):
    if (raw, disk.size) not in _kept:
        _kept[raw, disk.size] = rounded(raw, disk)
    return _kept[raw, disk.size]


def test_everything_outside_of_the_extents_is_zero_and_they_ascend(image, raw):
    disk = opened(image[1])
    data = bytearray(rounded(raw, disk))
    end = 0
    for start, size in disk.extents():
        assert start >= end, "extents ascend, and are apart"
        assert size > 0
        end = start + size
        data[start:end] = bytes(size)
    assert end <= disk.size
    assert data.count(0) == len(data)


@pytest.mark.parametrize(
    "name", ["raw", "qcow2", "qcow2 zlib", "vmdk sparse", "vmdk stream", "vhdx blocks of 1M", "qed"]
)
def test_holes_are_no_extents(name, raw, tmp_path):
    disk = opened(convert(raw, tmp_path / "image", *CONTAINERS[name]))
    assert 0 < sum(extent.size for extent in disk.extents()) < SIZE * 0.8


def test_reads_beyond_the_end_are_broken(image):
    disk = opened(image[1])
    with pytest.raises(Broken):
        disk.pread(disk.size, 1)
    with pytest.raises(Broken):
        disk.pread(-1, 1)
    assert disk.pread(disk.size, 0) == b""


def test_a_file_that_was_cut_is_broken(image, tmp_path):
    driver, path = image
    if driver == "raw":
        return  # every length is a raw disk
    cut = tmp_path / "cut"
    shutil.copyfile(path, cut)
    os.truncate(cut, path.stat().st_size // 2)
    if driver == "vpc" and path.read_bytes()[:8] != b"conectix":
        assert opened(cut).format == "raw"  # nothing but its footer makes it a VHD
        return
    with pytest.raises((Broken, Unsupported)):
        digest(opened(cut))


def test_mutants_end_in_one_of_three_exceptions(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutants")
    small = make_raw(folder / "small", size=(3 << 20) + 512)
    codes = set()
    for number, (driver, options) in enumerate(CONTAINERS.values()):
        if driver == "raw":
            continue
        data = convert(small, folder / "image", driver, options).read_bytes()
        watched = Watched(BytesSource(data))
        disk = open_disk(watched, Budget())
        opening = list(watched.ranges)
        list(disk.extents())
        tables = [one for one in watched.ranges if one[1] <= 1 << 16]
        for mutant in mutants(data, [*opening, *opening, *tables], 10, seed=number):
            codes.add(outcome(mutant, read_all))
    assert codes >= {"read", "guest-broken", "guest-unknown"}


def read_all(source, budget):
    disk = open_disk(source, budget)
    list(disk.extents())
    chance = random.Random(1)
    for at in [0, *(chance.randrange(max(1, disk.size)) for _ in range(40))]:
        disk.pread(at, min(100_000, max(0, disk.size - at)))
    return disk


# ---- qcow2


def make(tmp_path, *options: str, size: str = "4M", name: str = "image") -> Path:
    path = tmp_path / name
    subprocess.run(["qemu-img", "create", "-q", *options, path, size], check=True)
    return path


def write(path: Path, driver: str, *commands: str) -> None:
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", "-f", driver, *words, path], check=True, capture_output=True)


def truth(path: Path, driver: str, tmp_path: Path) -> bytes:
    target = tmp_path / "truth"
    subprocess.run(["qemu-img", "convert", "-f", driver, "-O", "raw", path, target], check=True)
    return target.read_bytes()


def test_subclusters_that_were_written_or_zeroed_one_by_one_are_read_as_qemu_does(tmp_path):
    path = make(tmp_path, "-f", "qcow2", "-o", "extended_l2=on,cluster_size=64k")
    write(
        path,
        "qcow2",
        "write -P 1 2k 2k",
        "write -P 2 6k 5k",
        "write -P 3 1M 64k",
        "write -z 1034k 2k",
        "write -z 60k 8k",
    )
    disk = opened(path)
    assert disk.pread(0, disk.size) == truth(path, "qcow2", tmp_path)


def test_zeroed_and_discarded_clusters_read_as_zeros(tmp_path):
    path = make(tmp_path, "-f", "qcow2")
    write(path, "qcow2", "write -P 1 0 1M", "write -z 128k 64k", "discard 256k 64k")
    disk = opened(path)
    assert disk.pread(0, disk.size) == truth(path, "qcow2", tmp_path)
    assert disk.pread(128 << 10, 64 << 10) == bytes(64 << 10)


def test_snapshots_in_the_image_are_ignored(tmp_path):
    path = make(tmp_path, "-f", "qcow2")
    write(path, "qcow2", "write -P 1 0 1M")
    subprocess.run(["qemu-img", "snapshot", "-c", "before", path], check=True)
    write(path, "qcow2", "write -P 2 0 64k")
    assert opened(path).pread(65_535, 2) == b"\2\1"


@pytest.mark.parametrize("options", [("-b", "other", "-F", "raw"), ("-o", "data_file=data")])
def test_a_qcow2_whose_data_are_elsewhere_is_unsupported(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    make_raw(tmp_path / "other", size=1 << 20)
    with pytest.raises(Unsupported):
        opened(make(tmp_path, "-f", "qcow2", *options))


@pytest.mark.parametrize("method", [1, 2])
def test_an_encrypted_qcow2_is_unsupported_and_says_so(tmp_path, method):
    path = make(tmp_path, "-f", "qcow2")
    data = bytearray(path.read_bytes())
    data[35] = method
    with pytest.raises(Unsupported) as caught:
        open_disk(BytesSource(bytes(data)), Budget())
    assert caught.value.code == "guest-encrypted"


def test_a_packed_cluster_that_unpacks_to_less_is_broken(raw, tmp_path):
    data = bytearray(convert(raw, tmp_path / "image", "qcow2", "-c").read_bytes())
    l1 = int.from_bytes(data[40:48], "big")
    l2 = int.from_bytes(data[l1 : l1 + 8], "big") & 0x00FFFFFFFFFFFE00
    number = next(n for n in range(300) if data[l2 + n * 8] & 0x40)
    offset = int.from_bytes(data[l2 + number * 8 : l2 + number * 8 + 8], "big") & (1 << 54) - 1
    packer = zlib.compressobj(wbits=-12)
    short = packer.compress(b"short") + packer.flush()
    data[offset : offset + len(short)] = short
    with pytest.raises(Broken, match="instead of 65536"):
        open_disk(BytesSource(bytes(data)), Budget()).pread(number << 16, 1)


def test_an_l1_table_that_names_one_table_millions_of_times_ends_at_the_bound(tmp_path):
    """The tables of 32 MiB that qemu allows describe 2 PiB, in which each cluster is the same."""
    path = make(tmp_path, "-f", "qcow2", size="2P")
    write(path, "qcow2", "write -P 1 0 64k")
    with path.open("r+b") as file:
        l1 = int.from_bytes(os.pread(file.fileno(), 8, 40), "big")
        entry = os.pread(file.fileno(), 8, l1)
        os.pwrite(file.fileno(), entry * (4 << 20), l1)
    with pytest.raises(TooMuch):
        list(opened(path, Budget(steps=100_000)).extents())


# ---- VMDK, VHD, VHDX


def test_parts_of_a_disk_of_several_files_are_unsupported(raw, tmp_path):
    for kind in ("monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"):
        folder = tmp_path / kind
        folder.mkdir()
        convert(raw, folder / "disk.vmdk", "vmdk", f"subformat={kind}")
        with pytest.raises(Unsupported, match="several"):
            opened(folder / "disk.vmdk")
        for part in folder.glob("disk-s*.vmdk"):
            with pytest.raises(Unsupported, match="several"):
                opened(part)


def test_grain_directories_that_contradict_each_other_are_broken(raw, tmp_path):
    data = bytearray(convert(raw, tmp_path / "image", "vmdk", "subformat=monolithicSparse").read_bytes())
    directory = int.from_bytes(data[48:56], "little") * 512
    table = int.from_bytes(data[directory : directory + 4], "little") * 512
    data[table : table + 2048] = bytes(2048)
    with pytest.raises(Broken, match="contradict"):
        open_disk(BytesSource(bytes(data)), Budget()).pread(0, 1 << 20)


def test_a_grain_of_another_place_is_broken(raw, tmp_path):
    data = bytearray(convert(raw, tmp_path / "image", "vmdk", "subformat=streamOptimized").read_bytes())
    overhead = int.from_bytes(data[64:72], "little") * 512
    sector = int.from_bytes(data[overhead : overhead + 8], "little")
    data[overhead : overhead + 8] = pack("<Q", sector + 128)
    with pytest.raises(Broken, match="is of sector"):
        open_disk(BytesSource(bytes(data)), Budget()).pread(sector * 512, 1)


def test_a_vhd_sector_with_data_that_was_never_written_by_its_bitmap_is_broken(tmp_path):
    path = make(tmp_path, "-f", "vpc", "-o", "force_size=on", size="8M")
    write(path, "vpc", "write -P 1 0 4096")
    data = bytearray(path.read_bytes())
    table = int.from_bytes(data[512 + 16 : 512 + 24], "big")
    bitmap = int.from_bytes(data[table : table + 4], "big") * 512
    data[bitmap] = 0b1111_1110
    with pytest.raises(Broken, match="never written"):
        open_disk(BytesSource(bytes(data)), Budget()).pread(0, 512)
    data[bitmap + 512 + 7 * 512 : bitmap + 512 + 8 * 512] = bytes(512)
    disk = open_disk(BytesSource(bytes(data)), Budget())
    assert disk.pread(0, 4096) == b"\1" * 3584 + bytes(512)


def test_a_vhd_whose_table_is_longer_than_the_file_is_broken(raw, tmp_path):
    data = bytearray(convert(raw, tmp_path / "image", "vpc", "force_size=on").read_bytes())
    header = data.index(b"cxsparse")
    data[header + 28 : header + 40] = pack(">III", 0xFFFFFFFF, 2 << 20, 0)
    data[header + 36 : header + 40] = pack(">I", ~sum(data[header : header + 1024]) & 0xFFFFFFFF)
    with pytest.raises(Broken, match="more than the file"):
        open_disk(BytesSource(bytes(data)), Budget())


def test_a_vhdx_with_a_log_is_unclean(raw, tmp_path):
    from douane_guest.headers.crc32c import crc32c

    data = bytearray(convert(raw, tmp_path / "image", "vhdx", "").read_bytes())
    for at in (64 << 10, 128 << 10):
        header = bytearray(data[at : at + 4096])
        header[48:64] = b"\7" * 16
        header[4:8] = bytes(4)
        header[4:8] = crc32c(bytes(header)).to_bytes(4, "little")
        data[at : at + 4096] = header
    with pytest.raises(Unsupported) as caught:
        open_disk(BytesSource(bytes(data)), Budget())
    assert caught.value.code == "guest-unclean"


# ---- detection


def test_a_file_that_is_two_containers_is_broken(raw, tmp_path):
    footer = convert(raw, tmp_path / "vhd", "vpc", "subformat=fixed,force_size=on").read_bytes()[-512:]
    qcow2 = bytearray(convert(raw, tmp_path / "qcow2", "qcow2", "").read_bytes())
    qcow2 += bytes(SIZE - len(qcow2))
    with pytest.raises(Broken, match="ambiguous"):
        open_disk(BytesSource(bytes(qcow2) + footer), Budget())


def test_an_image_that_is_said_to_be_another_one_is_told(image):
    driver, path = image
    source = BytesSource(path.read_bytes())
    codes = {"raw": [] if driver == "raw" else ["guest-unknown"], FORMATS.get(driver, driver): [], None: []}
    for word in [*codes, "iso"]:
        parts = [part.code for part in open_guest(source, disk_format=word).unread if "said to be" in part.why]
        assert parts == codes["raw" if word == "iso" else word], word


@pytest.mark.parametrize("driver", ["qcow", "parallels"])
def test_containers_that_are_not_read_are_named(raw, tmp_path, driver):
    path = convert(raw, tmp_path / "image", driver, "")
    with pytest.raises(Unsupported, match=f"(?i){driver}"):
        opened(path)


@pytest.mark.parametrize("size", [0, 1, 511, 512])
def test_a_file_of_a_few_bytes_is_a_raw_disk(size):
    disk = open_disk(BytesSource(b"\1" * size), Budget())
    assert (disk.format, disk.size, disk.sector_size) == ("raw", size, 512)
    assert disk.pread(0, size) == b"\1" * size
