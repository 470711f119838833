"""One cell: build it, read it with douane-guest, and compare with what is in it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.guest import open_guest
from douane_guest.source import FileSource

from .cells import Cell
from .containers import CONTAINERS, transformed
from .facts import MISSING, Listing, Reading, comparable, differences, facts_of_folder, facts_of_guest
from .pieces import padded_copy
from .recipe import Recipe
from .tables import TABLES
from .volumes import VOLUMES
from .workshop import NotBuilt, Workshop, mounted

EQUAL, REPORTED, SILENT, NOT_BUILT = "equal", "reported", "silent", "not built"
KERNEL, PACKED = "kernel", "packed tree"


class Outcome(NamedTuple):
    """Of a cell."""

    status: str
    """``equal``: every fact of every entry. ``reported``: some could not be read, and Douane says which. ``silent``: a
    difference, and no word of it. ``not built``."""

    truth: str = ""
    entries: int = 0
    differences: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    reason: str = ""
    """Why it was not built."""

    build_seconds: float = 0
    read_seconds: float = 0


def read_image(image: Path, kind: str = "") -> Reading:
    """All of an image, by douane-guest."""
    fd = os.open(image, os.O_RDONLY)
    try:
        return facts_of_guest(open_guest(FileSource(fd), Budget()), kind)
    finally:
        os.close(fd)


def judge(expected: Iterable[tuple[str, Listing, Listing]], reading: Reading) -> Outcome:
    """The outcome of a reading. `expected`: what is compared with which truth: its name, the truth, the listing."""
    lines: list[str] = []
    names = []
    entries = 0
    for name, truth, listing in expected:
        lines += [f"{name}: {line}" for line in differences(truth, listing)]
        names.append(name)
        entries = max(entries, len(truth))
    if len(reading.volumes) != 1:
        lines.insert(0, f"the volumes are {reading.volumes}")
    missing = all(f": {MISSING}: " in line or "volumes are" in line or " same_as " in line for line in lines)
    status = (SILENT if lines else EQUAL) if not reading.unread else (REPORTED if missing else SILENT)
    return Outcome(status, " and ".join(names), entries, tuple(lines), tuple(reading.unread))


def check_recipe(workshop: Workshop, recipe: Recipe) -> Outcome:
    """A file system in a raw image."""
    with workshop.room(recipe.name) as room:
        image = room / "image"
        start = time.process_time(), time.monotonic()
        try:
            recipe.build(workshop.tree(recipe.shape), image)
        except NotBuilt as error:
            return Outcome(NOT_BUILT, reason=str(error))
        built = time.monotonic()
        expected = list(truths(workshop, recipe, image))
        processor = time.process_time()
        reading = read_image(image, recipe.volume)
        seconds = time.process_time() - processor
        outcome = judge(pairs(recipe, expected, reading), reading)
        return outcome._replace(build_seconds=built - start[1], read_seconds=seconds)


def check_cell(workshop: Workshop, cell: Cell, recipe: Recipe) -> Outcome:
    """A file system in a stack, whose image is there already."""
    with workshop.room(cell.name) as room:
        start = time.monotonic()
        try:
            image = build_cell(workshop, cell, room)
        except NotBuilt as error:
            return Outcome(NOT_BUILT, reason=str(error))
        built = time.monotonic()
        expected = workshop.stacked_truth(cell.filesystem)
        processor = time.process_time()
        reading = read_image(image, recipe.volume)
        seconds = time.process_time() - processor
        outcome = judge(pairs(recipe, expected, reading), reading)
        return outcome._replace(build_seconds=built - start, read_seconds=seconds)


def build_cell(workshop: Workshop, cell: Cell, room: Path) -> Path:
    """The file that douane-guest opens. Raises NotBuilt."""
    volume = padded_copy(workshop.stacked(cell.filesystem), room / "volume")
    members = VOLUMES[cell.volume](volume, room, 1 if cell.table == "none" else 4)
    disk = room / "disk"
    TABLES[cell.table](members, disk)
    container = CONTAINERS[cell.container]
    container.make(disk, room / "image")
    return transformed(room / "image") if container.is_transformed else room / "image"


def truths(workshop: Workshop, recipe: Recipe, image: Path) -> Iterable[tuple[str, Listing]]:
    """What the kernel shows, where it mounts it; what other programs show; and what was packed."""
    if recipe.mount is not None:
        kind, options = recipe.mount
        try:
            with mounted(image, kind, f"ro,{options}" if options else "ro") as folder:
                yield KERNEL, facts_of_folder(folder)
        except NotBuilt:
            pass
    for opinion in recipe.opinions if workshop.asks_others else ():
        with suppress(NotBuilt):  # it is not here: the table counts who was asked
            yield opinion.name, opinion.read(image)
    yield PACKED, workshop.truth(recipe.shape)


def pairs(
    recipe: Recipe, expected: Iterable[tuple[str, Listing]], reading: Reading
) -> Iterable[tuple[str, Listing, Listing]]:
    """The listings that are compared."""
    opinions = {opinion.name: opinion for opinion in recipe.opinions}
    for name, truth in expected:
        if name in opinions:
            lacks = opinions[name].lacks
            yield name, comparable(truth, lacks), comparable(reading.listing, lacks)
        elif name == KERNEL:
            yield name, _without_clock(recipe, truth), _without_clock(recipe, reading.listing)
        else:
            yield name, as_packed(recipe, truth), as_packed(recipe, reading.listing)


def _without_clock(recipe: Recipe, listing: Listing) -> Listing:
    return {path: fact._replace(mtime_ns=None) if path in recipe.by_clock else fact for path, fact in listing.items()}


def as_packed(recipe: Recipe, listing: Listing) -> Listing:
    """The listing without what the file system does not keep of the tree, and without what the tree has not."""
    result = {}
    for path, fact in comparable(listing, recipe.lacks, recipe.step_ns).items():
        if not recipe.keeps(path, fact) or path in (b"", *recipe.drop) or path.split(b"/")[0] in recipe.adds:
            continue
        link = recipe.change(fact.link) if recipe.change and fact.link is not None else fact.link
        result[path] = fact._replace(link=link)
    return result
