"""The transform `convert` keeps the size of the disk: no disk leaves it shorter, or longer, than its header says."""

from __future__ import annotations

import random
import stat
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from douane.plugins.convert.disk_size import check_result, exactly
from douane.plugins.convert.kept import KeptImage
from douane.plugins.convert.targets import Target
from douane_plugin import Reject
from support.conversion import MIB, convert, plan_of
from support.images.vhd import vhd_summed

DISK = random.Random(3).randbytes(12 * MIB)
GEOMETRY = (361, 4, 17)
GEOMETRY_BYTES = 361 * 4 * 17 * 512

pytestmark = pytest.mark.usefixtures("nothing_left")


def vhd_by(qemu_img: Any, creator: bytes, subformat: str) -> bytes:
    """A VHD of 12 MiB as `creator` writes it: no geometry has that size, so that the footer has a smaller one."""
    image = qemu_img("vpc", "-o", f"subformat={subformat},force_size=on", data=DISK)
    footer = bytearray(image[-512:])
    footer[28:32] = creator
    footer[56:60] = struct.pack(">HBB", *GEOMETRY)
    new = vhd_summed(bytes(footer), 64)
    return (new + image[512:-512] if subformat == "dynamic" else image[:-512]) + new


def raw_disk(folder: Path, disk_format: str | None) -> bytes:
    """The disk of the accepted image, by qemu-img."""
    subprocess.run(
        ["qemu-img", "convert", "-f", disk_format or "", "-O", "raw", folder / "out", folder / "raw"], check=True
    )
    return (folder / "raw").read_bytes()


CONFIGS = ["", 'verify = "compare"', 'to = "qcow2"', 'to = "qcow2", verify = "compare"', 'to = "vhdx"']


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("creator", [b"vbox", b"wa\0\0", b"vs  ", b"86Bx", b"win ", b"qem2"])
def test_the_end_of_a_dynamic_vhd_is_kept_whoever_made_it(
    tmp_path: Path, qemu_img: Any, creator: bytes, config: str
) -> None:
    """qemu before 10.0 reads the size of the geometry, and a backup GPT is in the last sectors."""
    report = convert(
        tmp_path, vhd_by(qemu_img, creator, "dynamic"), plan_of("format", config=config), disk_format="vhd"
    )
    assert report.outcome == "accepted", report
    assert raw_disk(tmp_path, report.disk_format) == DISK


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("creator", [b"vpc ", b"qemu"])
def test_the_disk_of_virtual_pc_has_the_size_of_its_geometry(
    tmp_path: Path, qemu_img: Any, creator: bytes, config: str
) -> None:
    report = convert(
        tmp_path, vhd_by(qemu_img, creator, "dynamic"), plan_of("format", config=config), disk_format="vhd"
    )
    assert report.outcome == "accepted", report
    assert raw_disk(tmp_path, report.disk_format) == DISK[:GEOMETRY_BYTES]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("creator", [b"vpc ", b"vbox"])
def test_all_that_precedes_the_footer_is_the_disk_of_a_fixed_vhd(
    tmp_path: Path, qemu_img: Any, creator: bytes, config: str
) -> None:
    report = convert(tmp_path, vhd_by(qemu_img, creator, "fixed"), plan_of("format", config=config), disk_format="vhd")
    assert report.outcome == "accepted", report
    assert raw_disk(tmp_path, report.disk_format) == DISK


KINDS = (
    ("qcow2", "cluster_size=2M"),
    ("qcow2", "extended_l2=on,cluster_size=32k"),
    ("qcow", ""),
    ("qed", ""),
    ("vdi", "static=on"),
    ("vhdx", "subformat=fixed"),
    ("vhdx", "block_size=1M"),
    ("parallels", ""),
    ("vpc", "subformat=dynamic,force_size=on"),
    ("vpc", "subformat=fixed,force_size=on"),
    ("vmdk", "subformat=monolithicSparse"),
    ("vmdk", "subformat=streamOptimized"),
)


@pytest.mark.parametrize("size", [2 * MIB + 512, 3 * MIB + 7])
@pytest.mark.parametrize(("driver", "options"), KINDS)
def test_a_disk_of_any_size_keeps_its_last_sector(
    tmp_path: Path, qemu_img: Any, driver: str, options: str, size: int
) -> None:
    """Sizes that are no multiple of a cluster, a grain or a sector; qemu fills the last sector up with zeros."""
    image = qemu_img(driver, *(["-o", options] if options else []), data=DISK[:size])
    report = convert(tmp_path, image, plan_of())
    assert report.outcome == "accepted", report
    assert (tmp_path / "out").read_bytes() == DISK[:size] + bytes(-size % 512)


def test_an_undeclared_fixed_vhd_passes_where_only_raw_images_are_converted(tmp_path: Path, qemu_img: Any) -> None:
    """Its footer would become the last sector of the disk."""
    image = vhd_by(qemu_img, b"win ", "fixed")
    report = convert(tmp_path, image, plan_of(config='to = "qcow2", when = ["raw"]'))
    assert (report.outcome, report.disk_format) == ("accepted", "vhd"), report
    assert (tmp_path / "out").read_bytes() == image


# if qemu-img reads or writes another size after all


class ScratchFile:
    """An open file in place of a plugin's scratch file."""

    def __init__(self, file: BinaryIO) -> None:
        self.path, self.fileno, self.size = file.name, file.fileno, 64 * MIB


@contextmanager
def kept_image(folder: Path, qemu_img: Any, script: str) -> Iterator[KeptImage]:
    """A qcow2 of 12 MiB, and a program in place of qemu-img."""
    (folder / "image").write_bytes(qemu_img("qcow2", data=DISK))
    program = folder / "qemu-img"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with (folder / "image").open("r+b") as image, (folder / "result").open("w+b") as result:
        files: Any = (ScratchFile(image), ScratchFile(result))
        yield KeptImage(str(program), files, "qcow2", None, len(DISK), lambda: None)


def test_a_disk_that_qemu_img_reads_shorter_is_refused(tmp_path: Path, qemu_img: Any) -> None:
    with kept_image(tmp_path, qemu_img, 'exec qemu-img "$@"') as kept:
        kept.check_size()
    shorter = f"echo '{{\"virtual-size\": {12 * MIB - 512}}}'"
    with kept_image(tmp_path, qemu_img, shorter) as kept, pytest.raises(Reject, match=r"12 MiB.*12582400 b") as refusal:
        kept.check_size()
    assert refusal.value.code == "convert-size"


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "vhd", "vhdx", "vdi"])
def test_a_result_that_is_shorter_is_a_failure(tmp_path: Path, qemu_img: Any, name: str) -> None:
    with kept_image(tmp_path, qemu_img, 'exec qemu-img "$@"') as kept:
        kept.convert(Target(name, "none", None, "none"))
    with (tmp_path / "result").open("rb") as file:
        check_result(file.fileno(), name, len(DISK))
        with pytest.raises(RuntimeError, match="12582912 bytes of a disk of 12583424 bytes"):
            check_result(file.fileno(), name, len(DISK) + 512)


def test_a_raw_disk_that_is_shorter_is_a_failure() -> None:
    assert list(exactly([b"x" * 512, b"y" * 512], 1000)) == [b"x" * 512, b"y" * 512]
    with pytest.raises(RuntimeError, match="a disk of 512 bytes of a disk of 1024 bytes"):
        list(exactly([b"x" * 512], 1024))
