"""What the guest view shows of an image of the corpus, as a row of guest_expected.tsv has it; and that table."""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's own bench, which is not installed

from bench.guest_matrix.check import KERNEL
from bench.guest_matrix.facts import Listing, comparable, facts_of_volume
from bench.guest_matrix.opinions import OWNERS

from douane_guest.budget import Budget
from douane_guest.guest import Guest, open_guest
from douane_guest.source import FileSource

TABLE = Path(__file__).resolve().parents[1] / "corpus/guest_expected.tsv"
OWN = "-"
"""The truth of a volume that no other program here reads: what is stored is what douane-guest showed."""
NOTHING = "-"


class Row(NamedTuple):
    """Of one image; lists are words with a blank between them, in the order of the volumes."""

    file: str
    """With the set. ``*``: every image without a row."""

    volumes: str
    """The place and the file system of each."""

    entries: str
    digests: str
    """Of all facts of all entries that the truth tells."""

    truth: str
    """Whose digests they are: ``kernel``, ``second-kernel``, ``ntfs-3g``, ``exfat-fuse``, or ``-``."""

    unread: str
    """The codes of what could not be read, each once."""

    system: str
    packages: str
    """How many of each kind."""


def rows() -> dict[str, Row]:
    """The table, by file."""
    with TABLE.open() as file:
        table = [Row(**row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return {row.file: row for row in table}


@contextmanager
def opened(image: Path) -> Iterator[Guest]:
    """The guest in the file of an image."""
    fd = os.open(image, os.O_RDONLY)
    try:
        yield open_guest(FileSource(fd), Budget())
    finally:
        os.close(fd)


def digest_of(listing: Listing, truth: str) -> str:
    """Of the facts that a truth tells: the kernel all, other programs not those that come from a mount."""
    facts = listing if truth == KERNEL else comparable(listing, OWNERS)
    return hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()[:16]


def row_of(file: str, guest: Guest, truths: list[str]) -> Row:
    """What the guest view shows. `truths`: those of its volumes, for the digests."""
    listings = [facts_of_volume(guest, volume) for volume in guest.volumes]
    known = truths if len(truths) == len(listings) else [OWN] * len(listings)
    kinds = Counter(package.kind for package in guest.packages())
    return Row(
        file,
        _words(f"{volume.name}={volume.filesystem}".replace(" ", "_") for volume in guest.volumes),
        _words(str(len(listing)) for listing in listings),
        _words(digest_of(listing, truth) for listing, truth in zip(listings, known, strict=True)),
        _words(known),
        _words(sorted({part.code for part in guest.unread})),
        guest.os.get("PRETTY_NAME", NOTHING),
        _words(f"{kind}={count}" for kind, count in sorted(kinds.items())),
    )


def _words(words: Iterable[str]) -> str:
    return " ".join(words) or NOTHING
