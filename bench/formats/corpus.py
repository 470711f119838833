"""Folders of images with manifests, and the reviewed lists that correct and explain the manifests.

A corpus is a folder with archives ``NAME.tar.zst`` or unpacked folders ``NAME``, and for each a ``NAME.manifest.tsv``
with the columns file, true_format, verdict (safe, unsafe, policy), why.
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

FOLDER = Path(__file__).parent


class NoCorpus(Exception):
    """No images were found. The text says where, and what to do."""


@dataclass(frozen=True)
class Labelled:
    """An image with the label of its manifest; `not_structural` is why its danger is not in its structure."""

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
    """The correction of a wrong label: the column, the right value, and the evidence."""

    file: str
    column: str
    value: str
    evidence: str


def corrections() -> list[Correction]:
    """The rows of label_corrections.tsv."""
    return [Correction(**row) for row in _rows(FOLDER / "label_corrections.tsv")]


def not_structural() -> list[tuple[str, str]]:
    """The patterns and reasons in not_structural.tsv."""
    return [(row["pattern"], row["reason"]) for row in _rows(FOLDER / "not_structural.tsv")]


@contextmanager
def labelled(folder: Path, unpacked: Path | None = None) -> Iterator[list[Labelled]]:
    """All images of the corpus in `folder`, unpacked while the context is open.

    `unpacked` is a folder with unpacked images, one folder a set. Raises NoCorpus.
    """
    manifests = sorted(folder.glob("*.manifest.tsv"))
    if not manifests:
        raise NoCorpus(
            f"there is no *.manifest.tsv in {folder}: name a folder of labelled images with --corpus or DOUANE_CORPUS"
        )
    with tempfile.TemporaryDirectory(prefix="douane-formats-") as directory:
        labels: list[Labelled] = []
        for manifest in manifests:
            name = manifest.name.removesuffix(".manifest.tsv")
            places = [place / name for place in (unpacked, folder) if place is not None]
            images = next((place for place in places if place.is_dir()), None)
            labels += _labels(manifest, name, images or _unpack(folder / f"{name}.tar.zst", Path(directory) / name))
        yield labels


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
        for correction in corrected:
            if correction.file == label.file:
                changed: dict[str, Any] = {correction.column: correction.value, "corrected": correction.evidence}
                label = replace(label, **changed)
        reason = next((reason for pattern, reason in reasons if fnmatchcase(label.file, pattern)), "")
        yield replace(label, not_structural=reason)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
