"""The transforms on folders of images with known verdicts, named by DOUANE_CORPUS: through the real chain, in cages.

Every image goes through `decompress`, `ova`, `convert` (to raw) and `format`, as a tenant would send it. Of a safe one
the disk must be the one that the manifest tells (payload_sha256), or where it tells none, that of qemu-img in a cage of
bubblewrap; an unsafe one is refused, or is not run into, with a code.

Of the set `matrix` all are taken; of others one in so many (:data:`ONE_IN`), by the digests of their names: always the
same ones.
"""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from douane.engine import Report

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's own bench, which is not installed

from bench.formats.corpus import Labelled

from support.plans import chain

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(900), pytest.mark.xdist_group("corpus-transforms")]

ONE_IN = {"ovf": 80, "raw": 10, "udf": 10}
OTHERS_ONE_IN = 4
DRIVERS = {"vhd": "vpc", "ploop": "parallels"}
FOR_OTHERS = ("clamav-testfiles/", "glance/testserver-not-tar.ova")
"""Unsafe ones whose danger no transform can see: what a virus scanner knows, and a text that was declared as an OVA."""
MEMORY = 512 << 20


@pytest.fixture(scope="module")
def sample(labels: list[Labelled]) -> list[Labelled]:
    """Those of the images that are tested."""
    return [label for label in labels if is_sampled(label)]


@pytest.fixture(scope="module")
def payloads() -> dict[tuple[str, str], str]:
    """The digest of the disk, by set and file, where a manifest tells it."""
    digests = {}
    for manifest in Path(os.environ["DOUANE_CORPUS"]).glob("*.manifest.tsv"):
        with manifest.open() as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row.get("payload_sha256"):
                    digests[manifest.name.removesuffix(".manifest.tsv"), row["file"]] = row["payload_sha256"]
    return digests


def is_sampled(label: Labelled) -> bool:
    """True if the image is one of those that are tested."""
    return label.set == "matrix" or not zlib.crc32(label.file.encode()) % ONE_IN.get(label.true_format, OTHERS_ONE_IN)


def through(labels: list[Labelled], folder: Path, temporary: Path) -> tuple[list[Report], int]:
    """The reports of the chain, and the peak memory of its largest sandbox in bytes."""
    plans = [folder / f"plan{number}.toml" for number in range(2)]
    for plan, config in zip(plans, ({}, {"disk": 0}), strict=True):
        plan.write_text(chain(ova={"config": config}, convert={"scratch": "2GiB"}))
    ended = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("chain_of_images.py")), *map(str, plans)],
        input="".join(f"{label.path}\n" for label in labels).encode(),
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
        check=True,
    )
    *reports, memory = ended.stdout.splitlines()
    return [msgspec.json.decode(report, type=Report) for report in reports], int(memory)


def by_qemu(path: Path, disk_format: str, folder: Path) -> str:
    """The digest of the raw disk that qemu-img makes of the image, in a sandbox with the image alone."""
    with tempfile.TemporaryDirectory(dir=folder) as output_folder:
        words = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        for system in ("/usr", "/lib", "/lib64", "/bin", "/etc/alternatives"):
            words += ["--ro-bind-try", system, system]
        words += ["--ro-bind", str(path), "/image", "--bind", output_folder, "/made", "--"]
        words += ["qemu-img", "convert", "-f", DRIVERS.get(disk_format, disk_format), "-O", "raw"]
        subprocess.run([*words, "/image", "/made/raw"], check=True)
        with (Path(output_folder) / "raw").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def faults(label: Labelled, report: Report, payload: str | None, folder: Path) -> Iterator[str]:
    """What is wrong with how it ended."""
    if report.outcome == "accepted":
        if label.verdict == "unsafe" and not label.file.startswith(FOR_OTHERS):
            yield "an unsafe image passes"
        source = report.properties.get("convert.source")
        if payload is not None and report.stored.sha256 != payload:
            yield f"its disk should be {payload}"
        if payload is None and source is not None and report.received.size == label.path.stat().st_size:
            packed = "decompress.layers" in report.properties or "ova.disk" in report.properties
            if not packed and by_qemu(label.path, str(source), folder) != report.stored.sha256:
                yield "its disk is another one to qemu-img"
        return
    if label.verdict == "safe":
        yield "a safe image is refused"
    # "truncated" is that of `format`: it ends inside its own structures, so that nobody can say what it is.
    if report.outcome != "refused" and report.code != "truncated":
        yield "nobody decided"
    if not report.code or not report.message:
        yield "nobody says why"


def test_transforms_make_the_disks_of_safe_images_and_refuse_unsafe_images(
    sample: list[Labelled],
    payloads: dict[tuple[str, str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    temporary, work = tmp_path / "temporary", tmp_path / "own"
    temporary.mkdir()
    work.mkdir()
    reports, memory = through(sample, tmp_path, temporary)

    def judge(label: Labelled, report: Report) -> list[str]:
        return list(faults(label, report, payloads.get((label.set, label.file)), work))

    counts: Counter[str] = Counter()
    problems = []
    with ThreadPoolExecutor(2) as pool:
        for label, report, faults_found in zip(sample, reports, pool.map(judge, sample, reports), strict=True):
            counts[f"{label.verdict}: {report.outcome}"] += 1
            counts["disk compared"] += report.outcome == "accepted" and (label.set, label.file) in payloads
            if faults_found:
                problems.append(
                    f"{label.set}/{label.file}: {', '.join(faults_found)}; {label.why}: {report.outcome} {report.code} "
                    f"{report.message} {report.stored}"[:400]
                )
    with capsys.disabled():
        print(f"\nthrough the transforms: {len(sample)} images, at most {memory >> 20} MiB in a cage")
        for name, count in sorted(counts.items()):
            print(f"  {name:<22}{count:>5}")
        for line in problems:
            print("  WRONG:", line)
    assert sample
    assert not problems
    assert list(temporary.iterdir()) == []
    assert memory < MEMORY
