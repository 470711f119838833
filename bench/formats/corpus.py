"""Folders of images with manifests, and the reviewed lists that correct and explain them.

A corpus is a folder with archives ``NAME.tar.zst``, or already unpacked folders ``NAME``, and for each a
``NAME.manifest.tsv`` with the columns file, true_format, verdict (safe, unsafe, policy), why.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class NoCorpus(Exception):
    """There are no images where they were looked for. The text says where, and what to do."""


@dataclass(frozen=True)
class Labelled:
    """An image, and what its manifest says of it; `not_structural` is why its danger is not in its structure."""

    set: str
    file: str
    path: Path
    true_format: str
    verdict: str
    why: str
    corrected: str = ""
    not_structural: str = ""


@dataclass(frozen=True)
class Correction:
    """A label that is wrong: the column, what is right, and how that can be seen."""

    file: str
    column: str
    value: str
    evidence: str


def corrections() -> list[Correction]:
    """label_corrections.tsv."""
    return [Correction(**row) for row in _rows(HERE / "label_corrections.tsv")]


def not_structural() -> list[tuple[str, str]]:
    """not_structural.tsv: patterns of files, and the reason."""
    return [(row["pattern"], row["reason"]) for row in _rows(HERE / "not_structural.tsv")]


@contextmanager
def labelled(folder: Path, unpacked: Path | None = None) -> Iterator[list[Labelled]]:
    """All images of the corpus at `folder`, unpacked as long as the context is open.

    `unpacked` is a folder that has them unpacked already, one folder a set. Raises NoCorpus.
    """
    manifests = sorted(folder.glob("*.manifest.tsv"))
    if not manifests:
        raise NoCorpus(
            f"there is no *.manifest.tsv in {folder}: name a folder of labelled images with --corpus or DOUANE_CORPUS"
        )
    with tempfile.TemporaryDirectory(prefix="douane-formats-") as directory:
        found: list[Labelled] = []
        for manifest in manifests:
            name = manifest.name.removesuffix(".manifest.tsv")
            places = [place / name for place in (unpacked, folder) if place is not None]
            there = next((place for place in places if place.is_dir()), None)
            found += _labels(manifest, name, there or _unpack(folder / f"{name}.tar.zst", Path(directory) / name))
        yield found


def _unpack(archive: Path, to: Path) -> Path:
    if not archive.is_file():
        raise NoCorpus(f"there is neither {archive} nor an unpacked folder {to.name} beside it")
    to.mkdir()
    with subprocess.Popen(["zstd", "-dcq", "--long=30", archive], stdout=subprocess.PIPE) as unpacked:
        subprocess.run(["tar", "x", "-S", "-C", to], stdin=unpacked.stdout, check=True)
    return to


def _labels(manifest: Path, name: str, folder: Path) -> Iterator[Labelled]:
    corrected = corrections()
    reasons = not_structural()
    for row in _rows(manifest):
        path = folder / row["file"]
        if not path.is_file():
            continue
        label = Labelled(name, row["file"], path, row["true_format"], row["verdict"], row["why"])
        for one in corrected:
            if one.file == label.file:
                changed: dict[str, Any] = {one.column: one.value, "corrected": one.evidence}
                label = replace(label, **changed)
        reason = next((reason for pattern, reason in reasons if fnmatchcase(label.file, pattern)), "")
        yield replace(label, not_structural=reason)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
