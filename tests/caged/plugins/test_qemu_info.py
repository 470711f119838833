"""The inspector `qemu-info`, with the real qemu-img in a real sandbox."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from douane.report import Report

MiB = 1 << 20
PLAN = """
[[plugin]]
name = "{name}"
use = "qemu-info"
programs = ["{program}"]
config = {{ program = "{program}" }}
"""
IMAGES = [
    *(("qcow2", "qcow2"), ("vdi", "vdi"), ("vhdx", "vhdx"), ("qed", "qed"), ("parallels", "ploop")),
    *(("vpc", "vhd"), ("vmdk", "vmdk")),
]
RunPlan = Callable[..., Report]


@pytest.fixture(params=["strict", "full"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> RunPlan:
    """``run(bytes, disk_format)``: the report of a plan of qemu-info alone, in each tier that cages."""

    def go(image: bytes, disk_format: str | None, program: str = "qemu-img", toml: str = PLAN) -> Report:
        path = tmp_path / "image"
        path.write_bytes(image)
        plan = tmp_path / "plan.toml"
        plan.write_text(toml.format(name="qemu", program=program))
        return inspect_image(
            load_plan(str(plan), extra=(), settings=()),
            DeclaredImage(disk_format=disk_format),
            open_source(str(path), size=None),
            None,
            RunOptions(tier=sandbox.Tier(request.param), emit=lambda *line: None),
        )

    return go


def answer(report: Report) -> tuple[str, str | None]:
    return report.outcome, report.code


def a_program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("kind", "disk_format"), IMAGES)
def test_images_of_qemu_img_pass(run: RunPlan, qemu_img: Callable[..., bytes], kind: str, disk_format: str) -> None:
    options = ["-o", "force_size=on"] if kind == "vpc" else []
    report = run(qemu_img(kind, *options, size=4 * MiB), disk_format)
    assert report.outcome == "accepted", report
    properties = {key: value for key, value in report.properties.items() if key.startswith("qemu.")}
    assert properties == {"qemu.format": kind, "qemu.virtual_size": 4 * MiB}


@pytest.mark.parametrize("declared", ["raw", None])
@pytest.mark.parametrize("length", [70_000, 512 * 9, 1])
def test_raw_bytes_of_any_length_pass(run: RunPlan, declared: str | None, length: int) -> None:
    report = run(b"x" * length, declared)
    assert answer(report) == ("accepted", None), report


def test_a_disk_with_a_partition_table_passes_as_raw(run: RunPlan) -> None:
    image = bytearray(MiB)
    image[446:462] = struct.pack("<B3sB3sII", 0x80, bytes(3), 0x83, bytes(3), 64, 1000)
    image[510:512] = b"\x55\xaa"
    assert run(bytes(image), "raw").outcome == "accepted"


def test_a_fixed_vhd_passes_although_qemu_does_not_detect_it(run: RunPlan, qemu_img: Callable[..., bytes]) -> None:
    image = qemu_img("vpc", "-o", "subformat=fixed,force_size=on", size=MiB)
    report = run(image, "vhd")
    assert report.outcome == "accepted", report
    assert report.properties["qemu.format"] == "vpc"


def test_without_a_declared_format_that_of_format_counts(run: RunPlan, qemu_img: Callable[..., bytes]) -> None:
    toml = '[[plugin]]\nname = "format"\nuse = "format"\n' + PLAN
    report = run(qemu_img("qcow2", size=3 * MiB), None, toml=toml)
    assert report.outcome == "accepted", report
    assert report.properties["qemu.virtual_size"] == report.properties["format.virtual_size"] == 3 * MiB


def test_a_qcow2_declared_as_raw_is_refused(run: RunPlan, qemu_img: Callable[..., bytes]) -> None:
    report = run(qemu_img("qcow2"), "raw")
    assert answer(report) == ("refused", "qemu-disagrees"), report


def test_a_backing_file_has_its_own_code(run: RunPlan, tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(bytes(MiB))
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "over"]
    subprocess.run(words, check=True, cwd=tmp_path)
    report = run((tmp_path / "over").read_bytes(), "qcow2")
    assert answer(report) == ("refused", "backing-file"), report


def test_a_data_file_cannot_be_opened_from_the_sandbox(run: RunPlan, tmp_path: Path) -> None:
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=data", "own", "1M"]
    subprocess.run(words, check=True, cwd=tmp_path)
    report = run((tmp_path / "own").read_bytes(), "qcow2")
    assert report.outcome == "refused"
    assert report.code in ("qemu-refuses", "data-file")


def test_an_image_that_qemu_img_cannot_open_is_refused_with_its_reason(
    run: RunPlan, qemu_img: Callable[..., bytes]
) -> None:
    image = bytearray(qemu_img("qcow2"))
    image[20:24] = struct.pack(">I", 63)  # cluster_bits
    report = run(bytes(image), "qcow2")
    assert answer(report) == ("refused", "qemu-refuses"), report
    assert "luster size" in str(report.message)


def test_another_size_than_in_the_header_is_refused(run: RunPlan, tmp_path: Path) -> None:
    output = '{"virtual-size": 1024, "format": "raw"}'
    report = run(bytes(4096), "raw", a_program(tmp_path / "liar", f"echo '{output}'"))
    assert answer(report) == ("refused", "qemu-disagrees"), report


@pytest.mark.parametrize(
    "text",
    [
        "echo '{'",
        "echo '[]'",
        'echo \'{"format": "raw"}\'',
        "while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done",
        "kill -ABRT $$",
    ],
    ids=["no JSON", "a list", "no size", "without end", "a crash"],
)
def test_unreadable_output_is_a_refusal(run: RunPlan, tmp_path: Path, text: str) -> None:
    report = run(bytes(4096), "raw", a_program(tmp_path / "odd", text))
    assert answer(report) == ("refused", "qemu-refuses"), report


def test_a_missing_program_is_a_failure_with_a_message(run: RunPlan) -> None:
    toml = PLAN.replace('programs = ["{program}"]\n', "programs = []\n")
    report = run(bytes(4096), "raw", toml=toml)
    assert answer(report) == ("undecided", "plugin-error"), report
    assert "programs" in str(report.verdicts[0].detail)


def test_a_vmdk_that_makes_qemu_img_crash_is_refused(run: RunPlan) -> None:
    """qemu 7.2: a descriptor whose only extent is ZERO ends in an assertion (vmdk_get_info)."""
    lines = ["# Disk DescriptorFile", "version=1", "CID=fffffffe", "parentCID=ffffffff"]
    lines += ['createType="monolithicFlat"', "RW 20480 ZERO", ""]
    report = run("\n".join(lines).encode(), "vmdk")
    assert report.outcome == "refused", report


def test_an_empty_program_is_a_configuration_error() -> None:
    from douane.plugins.qemu_info import QemuInfo

    plugin: Any = QemuInfo
    with pytest.raises(ValueError, match="program"):
        plugin(program="")
