"""The transform `convert` on hostile images, at the operator's limits, and under a killed engine."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.conversion import DIGEST, DISK, MIB, convert, plan_of
from support.images.ova import ova
from support.processes import descendants, wait_for_end
from support.program import Program
from support.waiting import until

PIB = 1 << 50

pytestmark = pytest.mark.usefixtures("nothing_left")


def huge(qemu_img: Any) -> bytes:
    """A qcow2 whose header says 1 PiB, with a table that could be one of that."""
    image = bytearray(qemu_img("qcow2", "-o", "cluster_size=2M", size=1 << 40))
    image[24:32] = struct.pack(">Q", PIB)
    return bytes(image)


def test_a_disk_of_a_pebibyte_is_refused_before_the_conversion(tmp_path: Path, qemu_img: Any) -> None:
    report = convert(tmp_path, huge(qemu_img), plan_of())
    assert (report.outcome, report.code) == ("refused", "convert-too-large")
    assert report.stored.size == 0
    by_limits = plan_of("format", "limits").replace(
        'use = "limits"', 'use = "limits"\nconfig = { max_virtual_size = "1TiB" }'
    )
    report = convert(tmp_path, huge(qemu_img), by_limits)
    assert report.outcome == "refused"
    assert report.temporary_bytes < MIB * 8


def test_output_is_bounded_by_the_engine(tmp_path: Path, qemu_img: Any) -> None:
    image = qemu_img("qcow2", size=1 << 30)
    report = convert(tmp_path, image, plan_of(keys=['max_output = "100MiB"']))
    assert (report.outcome, report.code) == ("refused", "transform-limit")


@pytest.mark.parametrize("to", ["raw", "qcow2"])
def test_an_image_that_names_another_file_is_not_opened(tmp_path: Path, qemu_img: Any, to: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * MIB)
    image = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", image], check=True)
    report = convert(tmp_path, image, plan_of(config=f'to = "{to}", always = true'))
    assert (report.outcome, report.code) == ("refused", "convert-other-files"), report


@pytest.mark.parametrize("cut", [600_000, 3 * MIB])
def test_a_truncated_image_is_refused(tmp_path: Path, qemu_img: Any, cut: int) -> None:
    for kind in (("qcow2",), ("vmdk", "-o", "subformat=streamOptimized"), ("vhdx",)):
        image = qemu_img(*kind, data=DISK)[:cut]
        report = convert(tmp_path, image, plan_of("format"))
        assert report.outcome != "accepted", (kind, report)


def test_a_damaged_stream_is_refused(tmp_path: Path, qemu_img: Any) -> None:
    image = bytearray(qemu_img("vmdk", "-o", "subformat=streamOptimized", data=DISK))
    image[2 * MIB : 2 * MIB + 64] = bytes(64)
    report = convert(tmp_path, bytes(image), plan_of())
    assert (report.outcome, report.code) == ("refused", "convert-damaged"), report


def test_a_table_that_contradicts_the_stream_is_refused(tmp_path: Path, qemu_img: Any) -> None:
    image = bytearray(qemu_img("vmdk", "-o", "subformat=streamOptimized", data=DISK))
    directory = struct.unpack_from("<Q", image, 56)[0] * 512
    table = struct.unpack_from("<I", image, directory)[0] * 512
    image[table : table + 4] = bytes(4)  # a grain that stands in the stream is not in the table
    report = convert(tmp_path, bytes(image), plan_of())
    assert (report.outcome, report.code) == ("refused", "convert-damaged"), report


@pytest.mark.parametrize(("to", "name"), [("raw", "qcow2"), ("qcow2", "raw")])
def test_a_full_disk_is_a_failure_and_not_a_refusal(tmp_path: Path, qemu_img: Any, to: str, name: str) -> None:
    image = DISK if name == "raw" else qemu_img(name, data=DISK)
    report = convert(tmp_path, image, plan_of(config=f'to = "{to}"', keys=['scratch = "1MiB"']), disk_format=name)
    assert report.outcome == "undecided", report
    assert report.code in ("plugin-error", "plugin-scratch")
    assert "scratch" in " ".join(verdict.detail or "" for verdict in report.verdicts)


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_all_transforms_in_one_run(tmp_path: Path, qemu_img: Any, tier: str) -> None:
    disk = qemu_img("vmdk", "-o", "subformat=streamOptimized", data=DISK)
    packed = gzip.compress(ova(("disk.vmdk", disk)), 1)
    report = convert(tmp_path, packed, plan_of("decompress", "ova"), tier=tier)
    assert report.outcome == "accepted", report
    assert (report.stored.sha256, report.disk_format, report.temporary_bytes) == (DIGEST, "raw", 0)
    assert [verdict.plugin for verdict in report.verdicts if verdict.plugin.startswith("format")] == [
        "format-after-decompress",
        "format-after-ova",
        "format-after-convert",
    ]


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_an_engine_that_is_killed_leaves_no_process_and_no_file_after_the_next_run(program: Program, tier: str) -> None:
    plan = program.place / "plan.toml"
    plan.write_text(plan_of(config='to = "qcow2"'))
    words = ("check", "-", "-c", plan, "--sandbox", tier, "--disk-format", "raw", "--size", len(DISK))
    engine = program.start(*words, stdin=subprocess.PIPE)
    assert engine.stdin is not None
    engine.stdin.write(DISK[: len(DISK) // 2])  # the rest never comes: qemu-img waits for it
    engine.stdin.flush()
    until("qemu-img works", lambda: "qemu-img" in descendants(engine.pid).values() or engine.poll() is not None)
    assert engine.poll() is None, engine.communicate()[1]
    processes = [os.pidfd_open(pid) for pid in descendants(engine.pid)]
    engine.kill()
    engine.communicate()
    assert wait_for_end(processes), "a process outlived the engine"
    program.clear_up(plan, tier)
