"""Containers by qemu-img; archives and compressions by their programs, read through Douane's own transforms."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .workshop import UTC, NotBuilt, run

OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:id="file1" ovf:href="disk.vmdk"/></References>
<DiskSection><Info>Disks</Info>
<Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="{size}" ovf:capacityAllocationUnits="byte"
 ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
</DiskSection>
<VirtualSystem ovf:id="machine"><Info>A machine</Info></VirtualSystem>
</Envelope>
"""


class Container(NamedTuple):
    """How a disk becomes the file of an image, and whether Douane's transforms are what opens it."""

    make: Callable[[Path, Path], None]
    """Of the disk and the image."""

    is_transformed: bool = False


def _raw(disk: Path, image: Path) -> None:
    disk.rename(image)


def _qemu(driver: str, options: str = "", *flags: str) -> Container:
    def make(disk: Path, image: Path) -> None:
        words = ["-o", options] if options else []
        run("qemu-img", "convert", "-f", "raw", "-O", driver, *flags, *words, disk, image)

    return Container(make)


def _flat(disk: Path, image: Path) -> None:
    """The extent of a monolithicFlat; what its descriptor alone is, a test of containers says."""
    descriptor = image.with_name("flat.vmdk")
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicFlat", disk, descriptor)
    descriptor.with_name("flat-flat.vmdk").rename(image)


def _packed(*command: str, inside: str = "") -> Container:
    def make(disk: Path, image: Path) -> None:
        content = disk
        if inside:
            content = disk.with_name("inside")
            run("qemu-img", "convert", "-f", "raw", "-O", inside, disk, content)
        with image.open("wb") as file:
            _pipe([*command, str(content)], file.fileno())

    return Container(make, is_transformed=True)


def _pipe(command: list[str], output: int) -> None:
    try:
        process = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False, env=UTC)
    except FileNotFoundError:
        raise NotBuilt(f"there is no program {command[0]}") from None
    if process.returncode:
        raise NotBuilt(f"{command[0]} failed: {process.stderr.decode()[-200:]}")


def _ova(disk: Path, image: Path) -> None:
    folder = image.with_name("appliance")
    folder.mkdir()
    size = disk.stat().st_size
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, folder / "disk.vmdk")
    (folder / "machine.ovf").write_text(OVF.format(size=size))
    run("tar", "--format=ustar", "-C", folder, "-cf", image, "machine.ovf", "disk.vmdk")
    shutil.rmtree(folder)


CONTAINERS = {
    "raw": Container(_raw),
    "qcow2": _qemu("qcow2"),
    "qcow2 version 2": _qemu("qcow2", "compat=0.10"),
    "qcow2 zlib": _qemu("qcow2", "", "-c"),
    "qcow2 zstd": _qemu("qcow2", "compression_type=zstd", "-c"),
    "qcow2 extended L2": _qemu("qcow2", "extended_l2=on"),
    "qcow2 zstd, extended L2": _qemu("qcow2", "compression_type=zstd,extended_l2=on", "-c"),
    "VMDK sparse": _qemu("vmdk", "subformat=monolithicSparse"),
    "VMDK stream": _qemu("vmdk", "subformat=streamOptimized"),
    "VMDK flat": Container(_flat),
    "VHD dynamic": _qemu("vpc", "force_size=on"),
    "VHD fixed": _qemu("vpc", "subformat=fixed,force_size=on"),
    "VHDX": _qemu("vhdx", "subformat=dynamic"),
    "VHDX fixed": _qemu("vhdx", "subformat=fixed"),
    "VDI": _qemu("vdi"),
    "VDI static": _qemu("vdi", "static=on"),
    "QED": _qemu("qed"),
    "OVA": Container(_ova, is_transformed=True),
    "gzip": _packed("gzip", "-1", "-c"),
    "xz": _packed("xz", "-0", "-c"),
    "zstd": _packed("zstd", "-q", "-c"),
    "gzip of qcow2": _packed("gzip", "-1", "-c", inside="qcow2"),
}


def transformed(image: Path) -> Path:
    """What the transforms make of an image: what Douane would store."""
    folder = image.with_name("home")
    folder.mkdir()
    douane = (sys.executable, "-m", "douane", "--home", folder / "store")
    report = json.loads(run(*douane, "import", "--plugin", "decompress", "--plugin", "ova", "--json", image))
    result = image.with_name("transformed")
    run(*douane, "save", report["image"]["id"], result)
    return result
