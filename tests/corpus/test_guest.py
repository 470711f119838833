"""The guest view of every image of the corpus: volumes, entries and contents as the kernel and other programs read them
(guest_expected.tsv, by make_guest_expected.py), the system, the packages, and what is unread."""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's own bench, which is not installed

from bench.formats.corpus import Labelled

from douane_guest.guest import Guest
from support.guest_readings import NOTHING, opened, row_of, rows

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(900), pytest.mark.xdist_group("corpus-formats")]

CHUNK = 1 << 20
MAX_HASHED = 256 << 20


def digest_of_disk(guest: Guest) -> str:
    """Of all its bytes."""
    assert guest.disk is not None
    digest = hashlib.sha256()
    for start in range(0, guest.disk.size, CHUNK):
        digest.update(guest.disk.pread(start, min(CHUNK, guest.disk.size - start)))
    return digest.hexdigest()


def payload_digests() -> dict[str, str]:
    """The digest of the disk where a manifest tells it, by set and file."""
    digests = {}
    for manifest in Path(os.environ["DOUANE_CORPUS"]).glob("*.manifest.tsv"):
        with manifest.open() as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row.get("payload_sha256"):
                    digests[f"{manifest.name.removesuffix('.manifest.tsv')}/{row['file']}"] = row["payload_sha256"]
    return digests


def test_the_guest_view_shows_of_every_image_what_other_programs_read_and_tells_what_it_does_not(
    labels: list[Labelled], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = rows()
    problems, compared = [], 0
    for label in labels:
        file = f"{label.set}/{label.file}"
        row = expected.get(file, expected["*"])._replace(file=file)
        with opened(label.path) as guest:
            actual = row_of(file, guest, [] if row.truth == NOTHING else row.truth.split())
        compared += len(row.truth.split()) - row.truth.split().count(NOTHING)
        if actual != row:
            problems.append(f"{actual}\n    should be {row}")
    with capsys.disabled():
        print(f"\nguest view: {len(labels)} images, {compared} volumes compared with what other programs read")
        for line in problems:
            print("  WRONG:", line)
    assert labels
    assert not expected.keys() - {f"{label.set}/{label.file}" for label in labels} - {"*"}
    assert not problems


def test_the_disk_of_every_container_that_is_read_has_the_bytes_that_its_manifest_tells(labels: list[Labelled]) -> None:
    payloads = payload_digests()
    problems, count = [], 0
    for label in labels:
        file = f"{label.set}/{label.file}"
        if label.verdict != "safe" or file not in payloads:
            continue
        with opened(label.path) as guest:
            if guest.disk is None or guest.disk.size > MAX_HASHED or not guest.volumes:
                continue
            count += 1
            if digest_of_disk(guest) != payloads[file]:
                problems.append(file)
    assert count > 20
    assert not problems
