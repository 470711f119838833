"""Bombs, through `douane import` with the built-in transforms in their cages and the default limits.

What each test states is what an operator cares about: it ends, with a code that says why, in bounded memory, on a disk
that has no room for what it would be, and nothing of it is left.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.images import bombs
from support.images.bombs import GIB, MIB, PATTERN, PIB, TIB, ZEROS
from support.images.compression import xz_with_dictionary
from support.images.ova import DISK, ova, ovf
from support.images.qcow2 import qcow2_of_one_cluster
from support.images.tar import tar
from support.images.zip import zipped
from support.plans import chain
from support.processes import small_disk
from support.program import Program
from support.sizes import part

PLAN = chain()
MEMORY = 512 * MIB
"""What one process may take by default; the engine itself must do with it, too."""
MEASURE = """
import os, resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
os.write(3, b"%d %d" % (status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""
"""Runs a program; tells its exit status, and the KiB of the largest of all processes that it and its own waited for.
What we take ourselves must not count (getrusage(2): it stays with a child of ours that is executed)."""
ROOM = 384 * MIB
"""Of the disk on which the home and TMPDIR are."""

ARCHIVE, XML = ("ova-archive", "unsafe-archive"), ("ova-xml", "unsafe-xml")
MANY = ("ova-members", "unsafe-archive")  # two plugins refuse it, and either may be the first
"""`ova`, or the `format` that looks at the same bytes: whichever comes first."""
OVERLAP = ("zip-members", "zip-ambiguous", "compressed-again")

Import = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Any], Path]:
    """Each bomb is made once."""
    folder = tmp_path_factory.mktemp("bombs")

    def make(name: str, pieces: Any) -> Path:
        path: Path = folder / name.replace("/", "-").replace(" ", "-")
        return path if path.exists() else bombs.write(path, pieces() if callable(pieces) else pieces)

    return make


@pytest.fixture
def bring(tmp_path: Path) -> Import:
    """``bring(image)``: the report of an import on a small disk, with its `exit` status, and what is `left` of it."""
    room = tmp_path / "room"
    room.mkdir()
    (tmp_path / "plan.toml").write_text(PLAN)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DOUANE_", "XDG_"))}
    env |= {"DOUANE_HOME": str(room / "home"), "TMPDIR": str(room / "temporary")}
    rights = ("--cap-add", "ALL") if os.geteuid() == 0 else ()

    def go(image: Path) -> dict[str, Any]:
        words = [Path(sys.executable).parent / "douane", "import", image, "-c", tmp_path / "plan.toml", "--json"]
        words += ["--sandbox", "strict"]
        measured = shlex.join(map(str, [sys.executable, "-c", MEASURE, *words]))
        steps = [
            f"mkdir {room}/temporary",
            f"{measured} > {tmp_path}/report.json 2> {tmp_path}/errors 3> {tmp_path}/ended",
            f"find {room}/home/store {room}/temporary -type f > {tmp_path}/left",
        ]
        small = small_disk(room, ROOM, *rights)
        subprocess.run([*small, "--", "sh", "-c", "\n".join(steps)], env=env, check=True)
        assert "Traceback" not in (tmp_path / "errors").read_text()
        status, kibibytes = map(int, (tmp_path / "ended").read_text().split())
        assert kibibytes << 10 < MEMORY
        report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
        leftovers = [name for name in (tmp_path / "left").read_text().split() if not name.endswith("lock")]
        return report | {"exit": status, "left": leftovers}

    return go


def assert_refused(report: dict[str, Any], *codes: str) -> None:
    assert (report["exit"], report["outcome"]) == (1, "refused"), report
    assert report["code"] in codes, report
    assert report["message"]
    assert report["left"] == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "make"),
    part(
        [
            ("zstd, one frame of 10 GiB", lambda: bombs.zstd_of_runs(b"\0", 10 * GIB)),
            ("zip, 10 GiB", lambda: bombs.zip_of_runs(ZEROS, 160)),
            ("xz, 4 GiB", lambda: bombs.packed("xz", ZEROS, 64)),
            ("bzip2, 4 GiB", lambda: bombs.packed("bzip2", ZEROS, 64)),
            ("gzip, one member of 10 GiB", lambda: bombs.gzip_of(ZEROS, 160)),
        ],
        every=2,
    ),
)
def test_gibibytes_of_zeros_are_refused(bring: Import, cached: Any, name: str, make: Any) -> None:
    assert_refused(bring(cached(name, make)), "compressed-bomb")


@pytest.mark.timeout(120)
def test_zeros_below_the_limit_take_no_space(bring: Import, cached: Any) -> None:
    """2 GiB of zeros are 8 MiB in lz4. That may be an empty disk; it is taken, and takes no room."""
    report = bring(cached("lz4 2 GiB", lambda: bombs.packed("lz4", ZEROS, 32)))
    assert (report["outcome"], report["stored"]["size"]) == ("accepted", 2 * GIB)  # on a disk of 384 MiB
    assert report["temporary_bytes"] == 0


@pytest.mark.parametrize(
    ("name", "make"),
    part(
        [
            ("gzip pattern", lambda: bombs.gzip_of(PATTERN, 16)),
            ("zstd pattern", lambda: bombs.zstd_of_runs(b"B", 10 * GIB)),
            ("xz pattern", lambda: bombs.packed("xz", PATTERN, 32)),
            ("bzip2 pattern", lambda: bombs.packed("bzip2", PATTERN, 4)),
            ("gzip of a qcow2 of one cluster", lambda: gzipped(qcow2_of_one_cluster(8 * GIB, b"BOMB"))),
            ("qcow2 of one cluster", lambda: qcow2_of_one_cluster(8 * GIB, b"BOMB")),
            ("zip pattern", lambda: bombs.zip_of_runs(PATTERN, 16)),
        ],
        every=2,
    ),
)
def test_gibibytes_of_other_data_end_at_the_ratio(bring: Import, cached: Any, name: str, make: Any) -> None:
    assert_refused(bring(cached(name, make)), "transform-limit")


def gzipped(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("gzip in gzip", lambda: gzipped(b"".join(bombs.gzip_of(ZEROS, 64)))),
        ("zip in zip", lambda: zipped(("one.zip", zipped(("disk.img", ZEROS))))),
        ("xz in zip", lambda: zipped(("disk.xz", b"".join(bombs.packed("xz", ZEROS, 64))))),
        ("zstd in gzip", lambda: gzipped(b"".join(bombs.zstd_of_runs(b"\0", 10 * GIB)))),
    ],
)
def test_a_bomb_in_a_bomb_is_not_unpacked_twice(bring: Import, cached: Any, name: str, make: Any) -> None:
    report = bring(cached(name, make))
    assert_refused(report, "compressed-again")
    assert report["stored"]["size"] == 0


@pytest.mark.parametrize(
    ("name", "make", "codes"),
    [
        ("overlapping", lambda: bombs.overlapping_zip(250, 4 * MIB), OVERLAP),
        ("many members", lambda: zipped(*((f"{n}", b"") for n in range(20_000))), ("zip-members",)),
        ("dot dot", lambda: zipped(("../../x", b"x" * 100)), ("zip-name",)),
        ("absolute", lambda: zipped(("/etc/cron.d/x", b"x" * 100)), ("zip-name",)),
        ("xz dictionary", lambda: xz_with_dictionary(b"small", 3 << 29), ("compressed-window",)),
        ("zstd window", lambda: b"\x28\xb5\x2f\xfd\x00" + bytes([31 - 10 << 3]) + b"\x01\0\0", ("compressed-window",)),
    ],
)
def test_an_archive_that_needs_too_much_is_refused(
    bring: Import, cached: Any, name: str, make: Any, codes: tuple[str, ...]
) -> None:
    assert_refused(bring(cached(name, make)), *codes)


@pytest.mark.parametrize(
    ("name", "make", "codes"),
    [
        ("pax", lambda: bombs.endless(b"x", b"30 comment=aaaaaaaaaaaaaaaaaa\n", 64), ARCHIVE),
        ("global pax", lambda: bombs.endless(b"g", b"30 comment=aaaaaaaaaaaaaaaaaa\n", 64), ARCHIVE),
        ("long names", lambda: bombs.endless(b"L", b"n" * 512, 64), ARCHIVE),
        ("a long name of gibibytes", lambda: bombs.endless(b"L", b"n" * (8 * MIB), 64), ARCHIVE),
        ("members", lambda: ova(*((f"{n}.txt", b"") for n in range(5000)), ("disk.vmdk", DISK)), MANY),
        ("sparse 4 TiB", lambda: bombs.sparse_member(4 * TIB), ("compressed-bomb", "ova-member-size")),
        ("sparse 10 GiB", lambda: bombs.sparse_member(10 * GIB), ("compressed-bomb",)),
        ("chunks", bombs.chunked_bomb, ("compressed-bomb",)),
        ("dot dot", lambda: ova(("disk.vmdk", DISK), ("../../x", b"1")), ("ova-member-name", "unsafe-member-name")),
        ("absolute", lambda: ova(("disk.vmdk", DISK), ("/etc/x", b"1")), ("ova-member-name", "unsafe-member-name")),
        ("laughs", lambda: bombs.with_descriptor(bombs.entities()), XML),
        (
            "external entity",
            lambda: bombs.with_descriptor(
                b"<!DOCTYPE Envelope [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
                + ovf().partition(b"?>")[2].replace(b"<Info>", b"<Info>&x;", 1)
            ),
            XML,
        ),
        (
            "external dtd",
            lambda: bombs.with_descriptor(
                b"<!DOCTYPE Envelope SYSTEM 'http://127.0.0.1/x.dtd'>" + ovf().partition(b"?>")[2]
            ),
            XML,
        ),
        ("packed descriptor", lambda: bombs.with_descriptor(gzipped(ovf())), XML),
        (
            "packed descriptor that is a bomb",
            lambda: bombs.with_descriptor(b"".join(bombs.gzip_of(ZEROS, 64))),
            XML,
        ),
    ],
)
def test_a_hostile_appliance_is_refused(
    bring: Import, cached: Any, name: str, make: Any, codes: tuple[str, ...]
) -> None:
    assert_refused(bring(cached(f"ova {name}", make)), *codes)


@pytest.mark.parametrize(
    ("name", "change", "codes"),
    [
        ("8 PiB", {"sectors": 16 * PIB >> 10}, ("convert-too-large", "unsafe-header", "unsafe-virtual-size")),
        ("1 TiB", {"sectors": TIB >> 9}, ("convert-too-large", "unsafe-outside-file")),
        ("in a circle", {"turn": True}, ("convert-out-of-order", "convert-damaged", "unsafe-header")),
    ],
)
def test_a_false_stream_optimized_vmdk_is_refused(
    bring: Import, cached: Any, qemu_img: Any, name: str, change: Any, codes: tuple[str, ...]
) -> None:
    vmdk = qemu_img("vmdk", "-o", "subformat=streamOptimized", data=os.urandom(MIB))
    assert_refused(bring(cached(f"vmdk {name}", bombs.stream_vmdk(vmdk, **change))), *codes)


def test_a_qcow2_of_64_tebibytes_is_refused(bring: Import, cached: Any, qemu_img: Any) -> None:
    image = qemu_img("qcow2", "-o", "cluster_size=2M", size=64 * TIB)
    report = bring(cached("qcow2 64 TiB", image))
    assert_refused(report, "convert-too-large")
    assert report["temporary_bytes"] < 16 * MIB


@pytest.mark.parametrize("pack", ["tar", "zip"])
def test_a_member_with_the_name_of_another_image_does_not_change_it(program: Program, pack: str) -> None:
    """Names of members lead nowhere: not to the store's own files either."""
    first = program.report(b"the first image " * 4096, PLAN, "import")
    assert first["outcome"] == "accepted", first
    victim = first["image"]["id"]
    store = program.home / "store"
    content = {path: path.read_bytes() for name in program.stored() if (path := store / name).stat().st_size}
    for name in (victim, f"store/{victim}", *(f"./{path.relative_to(store)}" for path in content)):
        hostile = ova((name, b"hostile" * 100), ("disk.vmdk", DISK)) if pack == "tar" else zipped((name, b"x" * 100))
        report = program.report(hostile, PLAN, "import")
        assert report["outcome"] in ("accepted", "refused"), report
        assert report.get("image") is None or report["image"]["id"] != victim
    assert {path: path.read_bytes() for path in content} == content


def test_other_programs_read_the_bombs_of_these_tests() -> None:
    """Python's own module lists all files of the overlapping one, and together they are far more than is there."""
    import io
    import zipfile

    data = bombs.overlapping_zip(250, 4 * MIB)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert sum(info.file_size for info in archive.infolist()) > 1000 * len(data)
        assert len(archive.infolist()) == 250
    with zipfile.ZipFile(io.BytesIO(zipped(("../../x", b"x" * 100)))) as archive:
        assert archive.namelist() == ["../../x"]
    assert tar(("x", b"")) != b""
