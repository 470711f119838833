"""The built-in inspector `format` on folders of images with known verdicts, named by DOUANE_CORPUS.

The labels, those of them that are corrected, and the images whose danger is not in their structure, are those of
`make formats` (bench/formats), which compares the same images with other tools.
"""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.plugins.format import Format
from douane_plugin import Image, Incomplete, Reject
from support.plugin_runs import ChunkSource

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's own bench, which is not installed

from bench.formats.corpus import Labelled
from bench.formats.names import outer

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(900), pytest.mark.xdist_group("corpus-formats")]

DISK_FORMATS = {
    "vmdk-descriptor": "vmdk",
    "vmdk-extent": "vmdk",
    "vmdk-cowd": "vmdk",
    "parallels": "ploop",
    "luks2": "luks",
    "udf": "iso",
    "vpc": "vhd",
}
DISKS = {"qcow", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "qed", "ploop", "luks", "bochs", "cloop", "dmg", "ewf"}
SIZED = DISKS | {"raw", "gpt", "mbr"}


def disk_format(true_format: str) -> str:
    """What an image service calls it; of ``raw|vhd`` the first."""
    name = outer(true_format)
    name = DISK_FORMATS.get(name, name)
    return name if name in DISKS else "raw"


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def verdict(path: Path, declared: str | None) -> tuple[str, str, dict[str, str | int]]:
    """How it ends, the code of a refusal, and the properties."""
    image = Image({"size": path.stat().st_size, "disk_format": declared}, ChunkSource(chunks(path)))
    try:
        return "accept", "", Format().inspect(image)
    except Reject as refusal:
        return "reject", refusal.code, {}
    except Incomplete as refusal:
        return "incomplete", refusal.code, {}


@pytest.fixture(scope="module")
def sizes() -> dict[tuple[str, str], int]:
    """The size of the disk where a manifest tells it, by set and file."""
    by_file = {}
    for manifest in Path(os.environ["DOUANE_CORPUS"]).glob("*.manifest.tsv"):
        with manifest.open() as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row.get("virtual_size") not in (None, "", "0"):  # 0 is what it says where nobody looked
                    by_file[manifest.name.removesuffix(".manifest.tsv"), row["file"]] = int(row["virtual_size"])
    return by_file


@pytest.mark.parametrize("declaring", [False, True], ids=["nothing declared", "declared as it is"])
def test_verdicts_and_sizes_are_those_of_the_labels(
    labels: list[Labelled],
    sizes: dict[tuple[str, str], int],
    declaring: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts: Counter[str] = Counter()
    problems = []
    for label in labels:
        expected = disk_format(label.true_format)
        outcome, code, properties = verdict(label.path, expected if declaring else None)
        counts[f"{label.verdict}: {outcome}"] += 1
        faults = []
        if label.verdict == "safe" and outcome != "accept":
            faults.append("a safe image is refused")
        if label.verdict == "unsafe" and outcome == "accept" and not label.not_structural:
            faults.append("an unsafe image passes")
        if outcome == "accept" and properties["disk_format"] not in [
            disk_format(one) for one in label.true_format.split("|")
        ]:
            faults.append(f"it is {expected}")
        size = sizes.get((label.set, label.file))
        if size is not None and outcome == "accept" and label.true_format in SIZED:
            counts["size compared"] += 1
            if properties.get("virtual_size") != size:
                faults.append(f"its disk has {size} bytes")
        if faults:
            problems.append(
                f"{label.set}/{label.file}: {', '.join(faults)}; {label.why}: {outcome} {code} {properties}"[:300]
            )
    with capsys.disabled():
        print(f"\n{'declared as it is' if declaring else 'nothing declared'}: {len(labels)} images")
        for name, count in sorted(counts.items()):
            print(f"  {name:<22}{count:>5}")
        for line in problems:
            print("  WRONG:", line)
    assert labels
    assert not problems
