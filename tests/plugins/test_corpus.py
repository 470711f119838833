"""The built-in inspector `format` on a folder of images with known verdicts, named by DOUANE_CORPUS.

The folder holds archives ``NAME.tar.zst`` and for each a ``NAME.manifest.tsv`` with the columns file,
true_format, verdict (safe, unsafe, policy), why, size, and where it is known virtual_size.
"""

from __future__ import annotations

import csv
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from images_in_memory import MemorySource

from douane.plugins.format import Format
from douane_plugin import Image, Incomplete, Reject

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(900)]

GLANCE_NAMES = {
    "qcow": "qcow2",
    "vmdk-descriptor": "vmdk",
    "vmdk-extent": "vmdk",
    "vmdk-cowd": "vmdk",
    "parallels": "ploop",
    "luks2": "luks",
    "udf": "iso",
}
KNOWN = {"qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "qed", "ploop", "luks"}
STREAMS = {"raw", "gpt", "mbr", "iso"}


def glance_name(true_format: str) -> str:
    name = GLANCE_NAMES.get(true_format, true_format)
    return name if name in KNOWN else "raw"


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def verdict(path: Path, declared: str | None) -> tuple[str, str, dict[str, object]]:
    image = Image({"size": path.stat().st_size, "disk_format": declared}, MemorySource(chunks(path)))
    try:
        return "accept", "", dict(Format().inspect(image))
    except Reject as refusal:
        return "reject", refusal.code, {}
    except Incomplete as refusal:
        return "incomplete", refusal.code, {}


@pytest.fixture(scope="module", params=["matrix", "third_shared"])
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = Path(os.environ["DOUANE_CORPUS"])
    to = tmp_path_factory.mktemp(request.param)
    archive = folder / f"{request.param}.tar.zst"
    with subprocess.Popen(["zstd", "-dcq", "--long=30", archive], stdout=subprocess.PIPE) as unpacked:
        subprocess.run(["tar", "x", "-C", to], stdin=unpacked.stdout, check=True)
    with (folder / f"{request.param}.manifest.tsv").open() as file:
        read = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in read:
        row["path"] = str(to / row["file"])
        row["set"] = request.param
    return [row for row in read if Path(row["path"]).is_file()]


@pytest.mark.parametrize("declaring", [False, True], ids=["nothing declared", "declared as it is"])
def test_no_safe_image_is_refused_and_nothing_raises(
    rows: list[dict[str, str]], declaring: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    counts: Counter[str] = Counter()
    wrong = []
    for row in rows:
        expected = glance_name(row["true_format"])
        outcome, code, properties = verdict(Path(row["path"]), expected if declaring else None)
        safe = row["verdict"] == "safe"
        counts[f"{row['verdict']}: {outcome}"] += 1
        told = f"{row['file']}: {row['verdict']} ({row['why']}): {outcome} {code} {properties}"
        if safe and outcome != "accept":
            wrong.append(told)
        if row["verdict"] == "unsafe" and outcome == "accept":
            print("  passed:", told[:200])
        if outcome == "accept":
            right = properties["disk_format"] == expected
            counts["format right" if right else "format wrong"] += 1
            if not right:
                print("  format:", told[:200])
            size = row.get("virtual_size")
            if size and safe and (row["true_format"] in STREAMS or expected != "raw"):
                right = properties.get("virtual_size") == int(size)
                counts["virtual size right" if right else "virtual size wrong"] += 1
                if not right:
                    print("  size:", size, told[:200])
    with capsys.disabled():
        print(f"\n{rows[0]['set']}, {'declared as it is' if declaring else 'nothing declared'}: {len(rows)} images")
        for name, count in sorted(counts.items()):
            print(f"  {name:<22}{count:>5}")
        for line in wrong:
            print("  REFUSED:", line[:250])
    assert not wrong
