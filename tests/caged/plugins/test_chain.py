"""The whole chain in one run: `decompress`, `ova`, `convert`, `format`, and an antivirus that sees the disk itself."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import random
from collections.abc import Callable
from typing import Any

import pytest

from support.images.ova import manifest, ova, ovf
from support.images.ova_hardware import CPU, MACHINE, PASD_FIELDS, item, system
from support.plans import chain, plugin
from support.program import Program

MIB = 1 << 20
SIGNATURE = b"A-VIRUS-THAT-IS-NONE-BUT-MUST-BE-FOUND-IN-THE-DISK"
CLEAN = random.Random(7).randbytes(3 * MIB) + bytes(9 * MIB) + b"text that packs well " * 40_000 + bytes(192)
INFECTED = CLEAN[: 10 * MIB] + SIGNATURE + CLEAN[10 * MIB + len(SIGNATURE) :]
DISKS = {"vmdk": ("vmdk", "-o", "subformat=streamOptimized"), "qcow2": ("qcow2",), "qcow2-packed": ("qcow2", "-c")}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
}
OPENSTACK = {
    "hw_cpu_sockets": 2,
    "hw_cpu_cores": 2,
    "hw_cpu_threads": 1,
    "hw_disk_bus": "scsi",
    "hw_scsi_model": "vmpvscsi",
    "hw_vif_model": "vmxnet3",
    "hw_firmware_type": "uefi",
    "os_type": "linux",
    "os_distro": "ubuntu",
}
PASD = {"cim_pasd_InstructionSet": "DMTF:x86:64", "cim_pasd_ProcessorArchitecture": "x86"}

ANTIVIRUS = f"""
from douane_plugin import Inspector, Reject

class Antivirus(Inspector):
    def inspect(self, image):
        for window in image.windows(1 << 20, {len(SIGNATURE)}):
            if bytes(window).find({SIGNATURE!r}) >= 0:
                raise Reject("infected", "there is a virus in the disk")
        return {{"scanned": image.offset}}
"""
MAY_SET = ["hw_*", "os_type", "os_distro", "cim_pasd_*"]

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(program: Program) -> Run:
    """``run(command, image, hardware=...)``: the report, with the `exit` status and what is in the store."""
    (program.place / "antivirus.py").write_text(ANTIVIRUS)

    def go(command: str, image: bytes, *, hardware: str = "openstack", tier: str = "strict") -> dict[str, Any]:
        plan = chain(
            plugin("antivirus.py:Antivirus", "antivirus"),
            digests=("sha256", "sha512"),
            ova={"may_set": MAY_SET, "config": {"hardware": hardware, "manifest": "required"}},
            format={"config": {"formats": ["raw"]}},
        )
        report = program.report(image, plan, command, tier=tier)
        return report | {"store": [(program.home / "store" / name).read_bytes() for name in program.stored()]}

    return go


def appliance(qemu_img: Any, disk: bytes, kind: str, systems: str = MACHINE) -> tuple[bytes, bytes]:
    """The appliance, with a manifest, and the disk image in it."""
    packed: bytes = qemu_img(*DISKS[kind], data=disk)
    description = ovf(systems=systems)
    lines = manifest(("vm.ovf", description), ("disk.vmdk", packed))
    assert len(disk) % 512 == 0
    return ova(("vm.mf", lines), ("disk.vmdk", packed), descriptor=description), packed


@pytest.mark.parametrize("command", ["check", "import"])
@pytest.mark.parametrize(("kind", "pack"), [("vmdk", "gz"), ("vmdk", "xz"), ("qcow2", "gz"), ("qcow2-packed", "xz")])
def test_a_compressed_appliance_becomes_an_inspected_raw_disk(
    run: Run, qemu_img: Any, command: str, kind: str, pack: str
) -> None:
    archive, inner = appliance(qemu_img, CLEAN, kind)
    image = PACK[pack](archive)
    report = run(command, image)
    assert (report["exit"], report["outcome"]) == (0, "accepted"), report
    assert report["received"] == {
        "size": len(image),
        "complete": True,
        "sha256": hashlib.sha256(image).hexdigest(),
        "sha512": hashlib.sha512(image).hexdigest(),
    }
    assert report["stored"]["sha256"] == hashlib.sha256(CLEAN).hexdigest()
    assert report["stored"]["sha512"] == hashlib.sha512(CLEAN).hexdigest()
    assert (report["disk_format"], report["container_format"]) == ("raw", "bare")
    assert report["virtual_size"] == len(CLEAN)
    assert {name: told["value"] for name, told in report["proposed"].items()} == OPENSTACK
    properties = report["properties"]
    assert properties["antivirus.scanned"] == len(CLEAN)
    assert (properties["ova.manifest"], properties["convert.source"]) == ("sha256 verified", kind.partition("-")[0])
    assert properties["decompress.compression"] == {"gz": "gzip", "xz": "xz"}[pack]
    # A stream needs nothing on the disk; of what has tables anywhere, one copy of what arrived, holes left out.
    whole_blocks = -(-len(inner) // 4096) * 4096
    assert report["temporary_bytes"] <= (0 if kind == "vmdk" else whole_blocks)
    if command == "import":
        assert [data == CLEAN for data in report["store"]] == [True]
        properties = report["image"]["properties"]
        assert {name: properties[name] for name in OPENSTACK} == {name: str(v) for name, v in OPENSTACK.items()}


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_cim_properties_pass_the_whole_chain(run: Run, qemu_img: Any, tier: str) -> None:
    machine = system(item(1, CPU, VirtualQuantity=2), more=PASD_FIELDS)
    archive, _ = appliance(qemu_img, CLEAN, "vmdk", machine)
    report = run("import", gzip.compress(archive, 1), hardware="cim", tier=tier)
    assert {name: told["value"] for name, told in report["proposed"].items()} == PASD
    assert PASD.items() <= report["image"]["properties"].items()


@pytest.mark.parametrize("command", ["check", "import"])
@pytest.mark.parametrize("kind", ["vmdk", "qcow2-packed"])
def test_a_virus_in_the_disk_is_found_behind_every_layer(run: Run, qemu_img: Any, command: str, kind: str) -> None:
    archive, _ = appliance(qemu_img, INFECTED, kind)
    image = PACK["gz"](archive)
    assert SIGNATURE not in image and SIGNATURE not in archive
    report = run(command, image)
    assert (report["exit"], report["outcome"], report["code"]) == (1, "refused", "infected"), report
    assert report["store"] == []


@pytest.mark.parametrize("at", ["gz", "archive", "disk"])
def test_damage_in_any_layer_is_refused(run: Run, qemu_img: Any, at: str) -> None:
    archive, inner = appliance(qemu_img, CLEAN, "vmdk")
    if at == "disk":
        archive = archive.replace(inner[1 * MIB : 1 * MIB + 512], bytes(512))
    elif at == "archive":
        archive = archive[: 2 * MIB]
    image = PACK["gz"](archive)
    report = run("import", image[:-9] if at == "gz" else image)
    assert report["exit"] in (1, 3) and report["outcome"] != "accepted", report
    assert (
        report["code"]
        in {
            "gz": ("compressed-truncated",),
            "archive": ("ova-truncated", "ova-archive", "truncated"),
            "disk": ("ova-digest", "convert-damaged", "unsafe-corrupt"),
        }[at]
    )
    assert report["store"] == []
