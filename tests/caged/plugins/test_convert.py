"""The transform `convert`: the disk is the same for every format and on every way."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from douane.engine import PlanError
from douane.plugins.convert.targets import Target
from support.conversion import DIGEST, DISK, DRIVERS, MIB, convert, disk_of, info, plan_of

SOURCES = {
    "qcow2": ("qcow2",),
    "qcow2-packed": ("qcow2", "-c"),
    "qcow2-zstd": ("qcow2", "-c", "-o", "compression_type=zstd"),
    "qcow2-extended": ("qcow2", "-o", "extended_l2=on,cluster_size=128k"),
    "vmdk": ("vmdk",),
    "vmdk-stream": ("vmdk", "-o", "subformat=streamOptimized"),
    "vhd": ("vpc", "-o", "force_size=on"),
    "vhd-fixed": ("vpc", "-o", "subformat=fixed,force_size=on"),
    "vhdx": ("vhdx",),
    "vdi": ("vdi",),
}
TARGETS = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi")

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def source(qemu_img: Any) -> Any:
    return lambda name: qemu_img(*SOURCES[name], data=DISK)


@pytest.mark.parametrize("tier", ["strict", "full"])
@pytest.mark.parametrize("name", SOURCES)
def test_every_format_becomes_the_same_raw_disk(tmp_path: Path, source: Any, name: str, tier: str) -> None:
    declared = {"disk_format": name.partition("-")[0]}
    report = convert(tmp_path, source(name), plan_of("format"), tier=tier, **declared)
    assert report.outcome == "accepted", report
    assert (report.disk_format, report.container_format) == ("raw", "bare")
    assert report.stored.sha256 == DIGEST
    assert report.properties["convert.source"] == declared["disk_format"]


def qcow2_of(folder: Path, cluster_size: int, size: str, *writes: str) -> tuple[Path, Path]:
    """An image that was written in this order, and its disk."""
    image, raw = folder / "written.qcow2", folder / "written.raw"
    options = ["-o", f"cluster_size={cluster_size}"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, image, size], check=True)
    words = [part for each in writes for part in ("-c", f"write {each}")]
    subprocess.run(["qemu-io", "-f", "qcow2", *words, image], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    return image, raw


def test_a_qcow2_with_late_compressed_clusters_becomes_its_disk(tmp_path: Path) -> None:
    """Its first half goes on as it arrives, the second is read by qemu-img."""
    image, raw = qcow2_of(tmp_path, 512, "4M", "-P 0x5a 0 1M", "-c -P 0xa5 2M 512", "-P 0xc3 3M 1M")
    report = convert(tmp_path, image.read_bytes(), plan_of("format"), disk_format="qcow2")
    assert report.outcome == "accepted", report
    assert (tmp_path / "out").read_bytes() == raw.read_bytes()


def test_clusters_out_of_order_wait_without_holding_chunks(tmp_path: Path) -> None:
    """After its first clusters, many chunks with nothing of what is next: their memory is lent for two each."""
    image, raw = qcow2_of(tmp_path, 65536, "24M", "-P 0x5a 0 1M", "-P 0xa5 12M 12M", "-P 0xc3 1M 11M")
    report = convert(tmp_path, image.read_bytes(), plan_of("format"), disk_format="qcow2")
    assert report.outcome == "accepted", report
    assert (tmp_path / "out").read_bytes() == raw.read_bytes()


@pytest.mark.parametrize("to", TARGETS[1:])
@pytest.mark.parametrize("name", ["raw", "qcow2-packed", "vmdk", "vmdk-stream", "vhd-fixed"])
def test_every_format_can_be_made(tmp_path: Path, source: Any, name: str, to: str) -> None:
    image = DISK if name == "raw" else source(name)
    declared = {"disk_format": name.partition("-")[0]}
    report = convert(tmp_path, image, plan_of(config=f'to = "{to}"'), **declared)
    assert report.outcome == "accepted", report
    assert report.disk_format == to
    assert disk_of(tmp_path / "out", to) == DIGEST


@pytest.mark.parametrize(
    ("name", "to", "way", "max_ratio"),
    [
        ("vmdk-stream", "raw", "streamed", 0),
        ("vhd-fixed", "raw", "streamed", 0),
        ("raw", "qcow2", "streamed", 1.1),  # the result, and no copy of the image
        ("vmdk-stream", "qcow2", "streamed", 1.1),
        ("qcow2", "raw", "kept", 1.1),  # the image, and no copy of the result
        ("vdi", "qcow2", "kept", 2.2),
    ],
)
def test_the_disk_space_is_the_smallest_for_the_formats(
    tmp_path: Path, source: Any, name: str, to: str, way: str, max_ratio: float
) -> None:
    image = DISK if name == "raw" else source(name)
    declared = {"disk_format": name.partition("-")[0]}
    report = convert(tmp_path, image, plan_of(config=f'to = "{to}"'), **declared)
    assert report.outcome == "accepted", report
    assert report.properties["convert.way"] == way
    data = 6 * MIB  # of DISK, without its zeros, in blocks
    assert report.temporary_bytes <= max_ratio * data
    assert (report.temporary_bytes > 0) == (max_ratio > 0)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("raw", ""),
        ("qcow2", 'to = "qcow2", compression = "zlib"'),
        ("vmdk-stream", 'to = "vmdk"'),
        ("vdi", 'when = ["vmdk", "vhd"]'),
    ],
)
def test_an_image_in_the_target_format_passes_unchanged(tmp_path: Path, source: Any, name: str, config: str) -> None:
    image = DISK if name == "raw" else source(name)
    report = convert(tmp_path, image, plan_of(config=config), disk_format=name.partition("-")[0])
    assert (report.outcome, report.temporary_bytes) == ("accepted", 0), report
    assert (tmp_path / "out").read_bytes() == image
    assert "convert.source" not in report.properties


def test_an_image_that_is_no_disk_passes_unchanged(tmp_path: Path) -> None:
    report = convert(tmp_path, zlib.compress(b"x", wbits=31), plan_of(config='to = "qcow2"'))
    assert (report.outcome, report.stored.sha256) == ("accepted", report.received.sha256)


def test_an_undeclared_fixed_vhd_is_converted(tmp_path: Path, source: Any) -> None:
    report = convert(tmp_path, source("vhd-fixed"), plan_of())
    assert (report.outcome, report.stored.sha256) == ("accepted", DIGEST), report
    report = convert(tmp_path, source("vhd-fixed"), plan_of(config='to = "qcow2"'))
    assert report.outcome == "accepted", report
    assert disk_of(tmp_path / "out", "qcow2") == DIGEST


def test_an_undeclared_raw_image_stays_raw(tmp_path: Path) -> None:
    for disk in (DISK, b"x" * 100, b"x" * 512, DISK[: MIB + 511]):
        report = convert(tmp_path, disk, plan_of())
        assert (report.outcome, report.disk_format) == ("accepted", "raw"), report
        assert (tmp_path / "out").read_bytes() == disk


def test_a_raw_image_stays_raw_after_its_end_was_read(tmp_path: Path) -> None:
    report = convert(tmp_path, DISK, plan_of(config='to = "qcow2", when = ["vhd"]'))
    assert (report.outcome, report.disk_format, report.stored.sha256) == ("accepted", "raw", DIGEST), report


def test_always_converts_to_the_same_format(tmp_path: Path, source: Any) -> None:
    config = 'to = "qcow2", always = true, compression = "zstd", cluster_size = "128KiB"'
    report = convert(tmp_path, source("qcow2"), plan_of(config=config), disk_format="qcow2")
    assert report.outcome == "accepted", report
    output = info(tmp_path / "out", "qcow2")
    assert (output["cluster-size"], output["format-specific"]["data"]["compression-type"]) == (128 << 10, "zstd")
    assert report.stored.size < 6 * MIB
    assert disk_of(tmp_path / "out", "qcow2") == DIGEST


@pytest.mark.parametrize(
    ("config", "name"), [('to = "qcow2", verify = "check"', "vmdk-stream"), ('verify = "compare"', "qcow2")]
)
def test_the_result_is_verified_on_request(tmp_path: Path, source: Any, config: str, name: str) -> None:
    report = convert(tmp_path, source(name), plan_of(config=config), disk_format=name.partition("-")[0])
    assert report.outcome == "accepted", report
    assert report.properties["convert.verified"] in config
    assert disk_of(tmp_path / "out", report.disk_format or "") == DIGEST


@pytest.mark.parametrize(
    ("config", "keys", "words"),
    [
        ('to = "vdi", compression = "zstd"', (), ("'compression'", "qcow2")),
        ('to = "qcow2", cluster_size = "3KiB"', (), ("'cluster_size'", "power of 2")),
        ('verify = "check"', (), ("'compare'",)),
        ('when = ["ova"]', (), ("'when'", "'ova'")),
        ("", ("scratch = 0",), ("scratch",)),
        ("", ('programs = ["true"]',), ("qemu-img",)),
    ],
)
def test_a_wrong_configuration_stops_the_start(tmp_path: Path, config: str, keys: Any, words: Any) -> None:
    with pytest.raises(PlanError) as error:
        convert(tmp_path, DISK, plan_of(config=config, keys=keys))
    assert all(word in str(error.value) for word in words), error.value


def test_qemu_knows_the_drivers_of_all_targets() -> None:
    output = subprocess.run(["qemu-img", "--help"], capture_output=True, text=True, check=True).stdout
    formats = output.partition("Supported formats:")[2].split()
    assert {Target(name, "none", None, "none").driver for name in TARGETS} <= set(formats)
    assert set(DRIVERS.values()) <= set(formats)


def test_a_stream_with_grains_out_of_order_is_refused(tmp_path: Path, source: Any) -> None:
    report = convert(tmp_path, swapped(source("vmdk-stream")), plan_of(), disk_format="vmdk")
    assert (report.outcome, report.code) == ("refused", "convert-out-of-order"), report


def swapped(vmdk: bytes) -> bytes:
    """The first two grains in the other order, each with its own marker, and as the table has them."""
    (overhead,) = struct.unpack_from("<Q", vmdk, 64)
    places = [overhead * 512]
    for _ in range(2):
        (length,) = struct.unpack_from("<I", vmdk, places[-1] + 8)
        places.append((places[-1] + 12 + length + 511) & ~511)
    first, second, end = places
    shuffled = bytearray(vmdk[:first] + vmdk[second:end] + vmdk[first:second] + vmdk[end:])
    (directory,) = struct.unpack_from("<Q", vmdk, 56)
    (table,) = struct.unpack_from("<I", vmdk, directory * 512)
    struct.pack_into("<2I", shuffled, table * 512, (first + end - second) // 512, first // 512)
    return bytes(shuffled)


def test_the_disk_of_this_test_has_holes_and_data() -> None:
    assert hashlib.sha256(DISK).hexdigest() == DIGEST
    assert len(DISK) % 512 == 0 and bytes(4 * MIB) in DISK
