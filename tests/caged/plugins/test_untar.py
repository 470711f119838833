"""Exports of clouds and boxes, by the programs that pack them, through the plan that takes them."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest

from support.conversion import DIGEST, DISK, convert
from support.images.ova import file, ova, ovf
from support.plans import plan, plugin

pytestmark = pytest.mark.usefixtures("nothing_left")
PLAN = plan(
    plugin("untar"),
    plugin("decompress"),
    plugin("ova"),
    plugin("convert"),
    plugin("format"),
)


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_export_of_google_compute_engine_becomes_a_raw_disk(tmp_path: Path, tier: str) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    subprocess.run(["tar", "--format=oldgnu", "-Sczf", "image.tar.gz", "disk.raw"], cwd=tmp_path, check=True)
    report = convert(tmp_path, tmp_path / "image.tar.gz", PLAN, tier=tier)
    assert report.outcome == "accepted", report
    assert (report.disk_format, report.container_format, report.stored.sha256) == ("raw", "bare", DIGEST)
    assert report.properties["untar.disk"] == "disk.raw"


def test_box_of_vagrant_becomes_a_raw_disk(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(DISK)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "raw", "box.img"], cwd=tmp_path, check=True)
    (tmp_path / "metadata.json").write_text('{"provider": "libvirt", "format": "qcow2", "virtual_size": 1}')
    (tmp_path / "Vagrantfile").write_text("Vagrant.configure('2')")
    members = ["./metadata.json", "./Vagrantfile", "./box.img"]
    subprocess.run(["tar", "-czf", "a.box", *members], cwd=tmp_path, check=True)
    report = convert(tmp_path, tmp_path / "a.box", PLAN)
    assert report.outcome == "accepted", report
    assert (tmp_path / "out").stat().st_size == report.virtual_size == len(DISK)
    assert hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest() == DIGEST


def test_appliance_and_compressed_disk_pass_to_the_plugins_that_follow(tmp_path: Path) -> None:
    disk = file(size=len(DISK))
    appliance = ova(("disk.vmdk", DISK), descriptor=ovf(disk))
    for image, used in ((appliance, "ova.disk"), (gzip.compress(DISK), "decompress.compression")):
        report = convert(tmp_path, image, PLAN)
        assert (report.outcome, report.stored.sha256) == ("accepted", DIGEST), report
        assert used in report.properties
        assert "untar.disk" not in report.properties
