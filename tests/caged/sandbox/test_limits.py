"""The resources of a plugin are bounded, and ordinary work still succeeds."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from douane import sandbox
from support.sandbox.process import Cell

MiB = 1 << 20
ENOMEM, EPERM, ENOSYS = 12, 1, 38


def test_private_memory_is_bounded(tier: sandbox.Tier) -> None:
    with Cell(tier, bounds=sandbox.Bounds(memory=128 * MiB)) as cell:
        assert cell.returned("allocate", 64 * MiB) == 64 * MiB
        assert cell.ask("allocate", 128 * MiB) == {"raised": "MemoryError", "text": ""}
        assert cell.refused("protect_later", 256 * MiB) == ENOMEM
        assert cell.refused("map_anonymous", mmap.MAP_PRIVATE, 128 * MiB) == ENOMEM


def test_uncounted_memory_cannot_be_allocated(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        for flags in (mmap.MAP_SHARED, 0x3, 0x102, 0x40002, 0x101):  # shared, validated, grows down, huge pages
            assert cell.refused("map_anonymous", flags, 1 << 16) in (EPERM, ENOSYS), hex(flags)
        assert cell.refused("address_space", 1 << 40) == ENOMEM


def test_usage_is_measured(tier: sandbox.Tier) -> None:
    for programs in ((), (Path("/bin/sh"),)):
        with Cell(tier, programs=programs) as cell:
            idle = cell.process.measure()
            assert (idle.processes, idle.threads) == (1, 1)
            assert 1 * MiB < idle.memory < 64 * MiB
            cell.order("attacks.hold", 100 * MiB, 5)
            assert cell.answer()["returned"] == "holding"
            busy = cell.process.measure()
            assert busy.memory - idle.memory > 90 * MiB
            assert busy.threads == 6
            cell.process.kill()
            assert cell.process.measure() == sandbox.Usage(0, 0, 0)


def test_threads_are_bounded(tier: sandbox.Tier) -> None:
    with Cell(tier, bounds=sandbox.Bounds(threads=16)) as cell:
        limit = cell.report.layers["limits"]["tasks"]
        assert limit == 16 or os.geteuid() != 0
        assert 8 <= cell.returned("start_threads", limit + 100) < limit
        assert cell.returned("start_threads", 8) == 8


def test_processes_are_bounded(tier: sandbox.Tier) -> None:
    bounds = sandbox.Bounds(threads=4, processes=4)
    with Cell(tier, bounds=bounds, programs=(Path("/bin/sh"),)) as cell:
        limit = cell.report.layers["limits"]["tasks"]
        started = cell.returned("fork_many", limit + 20)
        assert 2 <= started < limit
        assert cell.process.measure().processes == started + 1


def test_open_files_are_bounded(tier: sandbox.Tier) -> None:
    with Cell(tier, bounds=sandbox.Bounds(open_files=32)) as cell:
        assert 16 < cell.returned("open_many", 100) < 32


def test_an_open_file_cannot_be_written(tier: sandbox.Tier, tmp_path: Path) -> None:
    bounds = sandbox.Bounds(temporary_bytes=0)
    with (tmp_path / "file").open("w+b") as file, Cell(tier, bounds=bounds, keep=(file.fileno(),)) as cell:
        assert cell.ask("write_fd", file.fileno(), 4096).get("refused") == 27  # EFBIG
    assert (tmp_path / "file").stat().st_size == 0


def test_late_imports_and_their_libraries_work(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        digest, number, ssl = cell.returned("late_imports")
        assert (len(digest), number) == (8, "1")
        assert "SSL" in ssl


def test_numpy_works_with_threads(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        assert cell.returned("matrices", 300) == [300.0**3] * 4


def test_only_the_granted_program_runs(tier: sandbox.Tier) -> None:
    with Cell(tier, programs=(Path("/bin/true"),)) as cell:
        assert cell.returned("execute", "/bin/true") == 0
        for path in ("/bin/sh", "/usr/bin/env", "/bin/cat", str(sandbox.interpreter().executable)):
            assert cell.refused("execute", path) in (2, 13), path
    with Cell(tier) as cell:
        assert cell.refused("execute", "/bin/true") in (EPERM, ENOSYS)
        assert cell.refused("exec_now", "/bin/true") in (EPERM, ENOSYS)


def test_the_loader_cannot_run_a_readable_file(tier: sandbox.Tier, tmp_path: Path) -> None:
    """ld.so runs a file by mapping it, without execve; the code stays in the sandbox."""
    with Cell(tier, programs=(Path("/bin/true"),)) as cell:
        completed = cell.returned("run", "/lib64/ld-linux-x86-64.so.2", "/bin/cat", "/etc/passwd")
        assert completed[0] != 0
        assert "root" not in completed[1]


def test_qemu_img_reads_the_given_image(tier: sandbox.Tier, tmp_path: Path) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(bytes(MiB))
    backing = tmp_path / "other.raw"
    backing.write_bytes(bytes(MiB))
    qemu = Path("/usr/bin/qemu-img")
    with image.open("rb") as file:
        fd = file.fileno()
        with Cell(tier, programs=(qemu,), keep=(fd,), readable=(fd,)) as cell:
            code, output, errors = cell.returned(
                "attacks.run_with", [fd], str(qemu), "info", "-f", "raw", f"/proc/self/fd/{fd}"
            )
            assert (code, "virtual size: 1 MiB" in output) == (0, True), errors
            assert cell.returned("run", str(qemu), "info", "-f", "raw", str(backing))[0] == 1
