"""The transform `convert` on faults: of the image, its declared format, qemu-img, or the disk.

No `format` precedes it in these plans: the result is another image, which would not show the fault.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from douane.engine import Report
from douane.plugins.convert.streams import from_stream, to_stream
from support.conversion import DIGEST, DISK, MIB, convert, plan_of
from support.images.qcow2 import qcow2_of_one_cluster
from support.processes import SECONDS, descendants, small_disk, wait_for_end
from support.program import Program
from support.waiting import until

KINDS = {
    "qcow2": ("qcow2",),
    "vmdk": ("vmdk",),
    "vmdk-stream": ("vmdk", "-o", "subformat=streamOptimized"),
    "vhd": ("vpc", "-o", "force_size=on"),
    "vhdx": ("vhdx",),
    "vdi": ("vdi",),
    "qed": ("qed",),
    "ploop": ("parallels",),
}

pytestmark = pytest.mark.usefixtures("nothing_left")


def text_of(report: Report) -> str:
    """All that the report says to people."""
    return f"{report.message} {' '.join(verdict.detail or '' for verdict in report.verdicts)}"


# the image


@pytest.mark.parametrize("to", ["raw", "qcow2"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_image_never_becomes_a_disk_that_ends_in_zeros(
    tmp_path: Path, qemu_img: Any, kind: str, to: str
) -> None:
    """qemu-img reads zeros behind the end of a file, and ends with status 0."""
    sound = qemu_img(*KINDS[kind], data=DISK)
    report = convert(
        tmp_path, sound[: len(sound) * 6 // 10 // 512 * 512], plan_of(config=f'to = "{to}", always = true')
    )
    assert (report.outcome, report.code) == ("refused", "convert-damaged"), report


def table_of(image: bytes) -> int:
    """Where the first table of the second level of a qcow2 stands."""
    (first,) = struct.unpack_from(">Q", image, 40)
    (table,) = struct.unpack_from(">Q", image, first)
    return int(table & 0x00FFFFFFFFFFFE00)


@pytest.mark.parametrize("over", ["first table", "refcounts"])
def test_tables_that_overlap_are_not_read_as_a_disk(tmp_path: Path, qemu_img: Any, over: str) -> None:
    """qemu-img does: a cluster of the disk stands where a table is, and it ends with status 0."""
    image = bytearray(qemu_img("qcow2", data=DISK))
    (first,) = struct.unpack_from(">Q", image, 40)
    (refcounts,) = struct.unpack_from(">Q", image, 48)
    place = {"first table": first, "refcounts": refcounts}[over]
    struct.pack_into(">Q", image, table_of(image), 1 << 63 | place)
    (tmp_path / "damaged").write_bytes(image)
    words = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", tmp_path / "damaged", tmp_path / "made"]
    assert subprocess.run(words, check=False).returncode == 0
    report = convert(tmp_path, bytes(image), plan_of())
    assert (report.outcome, report.code) == ("refused", "convert-damaged"), report


@pytest.mark.parametrize("to", ["raw", "vdi"])
@pytest.mark.parametrize("what", ["marker", "entry", "more", "none"])
def test_a_stream_with_tables_of_another_disk_is_refused(tmp_path: Path, qemu_img: Any, what: str, to: str) -> None:
    """One bit is enough: the grain would stand elsewhere in the disk than where qemu-img finds it."""
    image = bytearray(qemu_img(*KINDS["vmdk-stream"], data=DISK))
    grain, entries, directory, overhead = (
        struct.unpack_from(kind, image, at)[0] for kind, at in (("<Q", 20), ("<I", 44), ("<Q", 56), ("<Q", 64))
    )
    (table,) = (sector * 512 for sector in struct.unpack_from("<I", image, directory * 512))
    assert (grain, entries) == (128, 512)
    first, hole = overhead * 512, table + 4 * (4 * MIB // (grain * 512))  # DISK has zeros there
    assert struct.unpack_from("<QI", image, first)[0] == 0 and struct.unpack_from("<I", image, hole) == (0,)
    if what == "marker":  # the last grain before the zeros says that it belongs into them
        last = max(struct.unpack_from("<48I", image, table)) * 512
        image[last : last + 8] = struct.pack("<Q", 4 * MIB // 512)
    elif what == "entry":
        image[hole : hole + 4], image[table : table + 4] = image[table : table + 4], bytes(4)
    elif what == "more":
        image[hole : hole + 4] = image[table : table + 4]
    else:
        image[directory * 512 : directory * 512 + 4] = bytes(4)
    report = convert(tmp_path, bytes(image), plan_of(config=f'to = "{to}"'))
    assert (report.outcome, report.code) == ("refused", "convert-damaged"), report


@pytest.mark.parametrize("declared", ["raw", "vmdk", "iso"])
@pytest.mark.parametrize("to", ["raw", "vmdk"])
def test_an_image_that_differs_from_the_declared_format_is_refused(
    tmp_path: Path, qemu_img: Any, declared: str, to: str
) -> None:
    report = convert(tmp_path, qemu_img("qcow2", data=DISK), plan_of(config=f'to = "{to}"'), disk_format=declared)
    assert (report.outcome, report.code) == ("refused", "format-mismatch"), report


def inner(qemu_img: Any, name: str) -> bytes:
    """A disk that a guest made look like an image."""
    if name == "fixed vhd":
        source: bytes = qemu_img("vpc", "-o", "subformat=fixed,force_size=on", data=DISK)
    elif name == "flat descriptor":
        source = b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n'
    else:
        source = qemu_img(name, data=DISK)
    return source + bytes(-len(source) % 512)


@pytest.mark.parametrize("outer", ["qcow2", "vmdk-stream", "vhdx"])
@pytest.mark.parametrize("hidden", ["qcow2", "vdi", "fixed vhd", "flat descriptor"])
def test_a_format_that_comes_out_of_another_is_refused(tmp_path: Path, qemu_img: Any, outer: str, hidden: str) -> None:
    report = convert(tmp_path, qemu_img(*KINDS[outer], data=inner(qemu_img, hidden)), plan_of())
    assert report.outcome == "refused", report
    assert (report.code or "").startswith(("format-", "unsafe-")), report


def test_a_raw_image_with_the_footer_of_a_vhd_is_refused(tmp_path: Path, qemu_img: Any) -> None:
    image = inner(qemu_img, "fixed vhd")
    report = convert(tmp_path, image, plan_of(), disk_format="raw")
    assert (report.outcome, report.code) == ("refused", "format-mismatch"), report
    report = convert(tmp_path, image, plan_of(config='to = "qcow2"'), disk_format="raw")
    assert (report.outcome, report.code) == ("refused", "format-mismatch"), report
    report = convert(tmp_path, image, plan_of(), disk_format="vhd")
    assert (report.outcome, report.stored.sha256) == ("accepted", DIGEST), report


def test_the_current_disk_of_an_image_with_snapshots_is_converted(tmp_path: Path, qemu_img: Any) -> None:
    image = tmp_path / "snapshots.qcow2"
    image.write_bytes(qemu_img("qcow2", data=bytes(MIB) + b"x" * MIB + DISK[2 * MIB :]))
    (tmp_path / "present").write_bytes(DISK)
    subprocess.run(["qemu-img", "snapshot", "-c", "before", image], check=True)
    words = ["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", tmp_path / "present", image]
    subprocess.run(words, check=True)
    report = convert(tmp_path, image, plan_of())
    assert (report.outcome, report.stored.sha256) == ("accepted", DIGEST), report


def test_a_disk_of_no_bytes_is_refused_with_the_reason(tmp_path: Path, qemu_img: Any) -> None:
    report = convert(tmp_path, qemu_img("qcow2", size=0), plan_of())
    assert report.outcome == "refused", report
    assert "disk has no bytes" in (report.message or "")


@pytest.mark.parametrize("to", ["raw", "qcow2", "vmdk"])
def test_expanding_compressed_clusters_is_bounded_on_every_way(tmp_path: Path, to: str) -> None:
    """128 MiB of disk in 150 kB. To raw it is the ratio that ends it, else the room for what is made."""
    image = qcow2_of_one_cluster(128 * MIB, random.Random(3).randbytes(16))
    config = f'to = "{to}", always = true'
    report = convert(tmp_path, image, plan_of(config=config, keys=['max_output = "16MiB"', 'scratch = "32MiB"']))
    assert report.outcome != "accepted" or report.stored.size <= 16 * MIB, report
    assert report.temporary_bytes <= 64 * MIB
    if to == "raw":
        assert (report.outcome, report.code) == ("refused", "transform-limit"), report


def test_max_output_bounds_every_target(tmp_path: Path) -> None:
    for to in ("qcow2", "vhdx", "vdi"):
        report = convert(
            tmp_path, DISK, plan_of(config=f'to = "{to}"', keys=['max_output = "1MiB"']), disk_format="raw"
        )
        assert (report.outcome, report.code) == ("refused", "transform-limit"), report


# qemu-img


@pytest.mark.parametrize("program", [["true"], ["sh", "-c", "exit 0"]])
def test_a_program_that_succeeds_without_finishing_is_a_failure(program: list[str]) -> None:
    with pytest.raises(RuntimeError, match="middle of the disk"):
        list(to_stream(program, "", [], 4096, lambda: None))
    with pytest.raises(RuntimeError, match="middle of the disk"), Path("/dev/null").open() as source:
        from_stream(lambda options: program, [], iter([b"x" * 512]), 512, lambda: None, watched=source.fileno())


def large(qemu_img: Any) -> bytes:
    """A qcow2 that takes qemu-img a while to pack."""
    source: bytes = qemu_img("qcow2", data=random.Random(9).randbytes(1 * MIB) * 96)
    return source


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_a_timeout_ends_qemu_img_as_well(tmp_path: Path, qemu_img: Any, tier: str) -> None:
    config = 'to = "qcow2", always = true, compression = "zlib"'
    report = convert(tmp_path, large(qemu_img), plan_of(config=config, keys=['timeout = "1s"']), tier=tier)
    assert (report.outcome, report.code) == ("undecided", "plugin-timeout"), report
    assert "qemu-img" not in descendants(os.getpid()).values()


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_a_killed_qemu_img_is_a_failure(tmp_path: Path, qemu_img: Any, tier: str) -> None:
    """By the kernel's own killer, for one, when memory is short."""
    image = large(qemu_img)
    reports: list[Report] = []
    config = 'to = "qcow2", always = true, compression = "zlib"'
    work = threading.Thread(
        target=lambda: reports.append(convert(tmp_path, image, plan_of(config=config), tier=tier)), daemon=True
    )
    work.start()
    until("qemu-img works", lambda: converting(os.getpid()) or not work.is_alive(), pause=0.01)
    for pid in converting(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    work.join(60)
    (report,) = reports
    assert (report.outcome, report.code) == ("undecided", "plugin-error"), report
    assert "ended by SIGKILL" in text_of(report)


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_an_engine_killed_during_the_conversion_leaves_nothing_after_the_next_run(
    program: Program, qemu_img: Any, tier: str
) -> None:
    image, plan = program.place / "image", program.place / "plan.toml"
    image.write_bytes(large(qemu_img))
    plan.write_text(plan_of(config='to = "qcow2", always = true, compression = "zlib"'))
    engine = program.start("check", image, "-c", plan, "--sandbox", tier)
    until("qemu-img works", lambda: converting(engine.pid) or engine.poll() is not None, pause=0.01)
    assert engine.poll() is None, engine.communicate()[1]
    processes = [os.pidfd_open(pid) for pid in descendants(engine.pid)]
    engine.kill()
    engine.communicate()
    assert wait_for_end(processes), "a process outlived the engine"
    program.clear_up(plan, tier)


def converting(engine: int) -> list[int]:
    """The processes below `engine` that run ``qemu-img convert``."""
    return [pid for pid, name in descendants(engine).items() if name == "qemu-img" and is_converting(pid)]


def is_converting(pid: int) -> bool:
    try:
        return b"convert" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


# the disk


def on_a_disk(folder: Path, size: int, image: Path, toml: str) -> str:
    """What `douane check` says where TMPDIR is a file system in memory with room for `size` bytes."""
    room = folder / "small"
    room.mkdir()
    (folder / "plan.toml").write_text(toml)
    rights = ("--cap-add", "ALL") if os.geteuid() == 0 else ()
    words = [Path(sys.executable).parent / "douane", "check", image, "-c", folder / "plan.toml", "--sandbox", "strict"]
    script = f"{shlex.join(map(str, [*words, '--json']))}; find {room} -type f"
    output = subprocess.run(
        [*small_disk(room, size, *rights), "--", "sh", "-c", script],
        env={**os.environ, "TMPDIR": str(room)},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
    ).stdout
    assert str(room) not in output.rpartition("}")[2]
    return output


@pytest.mark.parametrize(("to", "size"), [("raw", 2 * MIB), ("qcow2", 7 * MIB)])
def test_a_full_disk_has_a_message(tmp_path: Path, qemu_img: Any, to: str, size: int) -> None:
    """Too small for the image, or for what is made of it beside it."""
    (tmp_path / "image").write_bytes(qemu_img("vdi", data=DISK))
    output = on_a_disk(tmp_path, size, tmp_path / "image", plan_of(config=f'to = "{to}"'))
    assert '"undecided"' in output and '"plugin-error"' in output, output
    assert "space in TMPDIR" in output


def test_a_temporary_folder_in_memory_works(tmp_path: Path, qemu_img: Any) -> None:
    (tmp_path / "image").write_bytes(qemu_img("qcow2", data=DISK))
    output = on_a_disk(tmp_path, 64 * MIB, tmp_path / "image", plan_of())
    assert '"accepted"' in output and DIGEST in output, output
