"""All cells, in several processes; the trees and the file systems of the stacks are made before."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from . import drivers
from .cells import STACKED, Cell, cells, fixed_cells
from .check import EQUAL, NOT_BUILT, REPORTED, SILENT, Outcome, check_cell, check_recipe, truths
from .registry import recipes
from .systems import System, check_system, prepare, systems
from .unclean import Case, cases, check_case
from .workshop import NotBuilt, Workshop

FILE_SYSTEMS, STACKS, VOLUME_DRIVERS, UNCLEAN, SYSTEMS = PARTS = (
    *("file systems", "stacks", "drivers", "unclean", "systems"),
)


class Settings(NamedTuple):
    """Which cells."""

    only: str = ""
    parts: Sequence[str] = PARTS
    fixed: bool = False
    small: bool = False
    """With a tree of a tenth of the size, as the fixed part has."""

    workers: int = 2
    repetitions: int = 3


class Job(NamedTuple):
    """A cell of one of the parts; `key` is the name of a recipe, or what the part checks."""

    part: str
    name: str
    key: str | Cell | Case | System


class Result(NamedTuple):
    """A cell and its outcome."""

    part: str
    name: str
    row: str
    """The family of the file system, or the container."""

    key: tuple[str, ...]
    """Of the stacks: container, table, volume, file system."""

    expects: str
    outcome: Outcome

    @property
    def is_fault(self) -> bool:
        """True unless it was not built, or came out as it should."""
        return self.outcome.status not in (NOT_BUILT, self.expects)


def jobs(settings: Settings) -> list[Job]:
    """All that the settings name."""
    chosen: list[Job] = []
    chosen += [Job(STACKS, cell.name, cell) for cell in (fixed_cells() if settings.fixed else cells())]
    if not settings.fixed:
        chosen += [Job(FILE_SYSTEMS, name, name) for name in recipes()]
        chosen += [Job(VOLUME_DRIVERS, kind, kind) for kind in drivers.KINDS]
        chosen += [Job(UNCLEAN, case.name, case) for case in cases(settings.repetitions)]
        chosen += [Job(SYSTEMS, system.name, system) for system in systems()]
    return [job for job in chosen if job.part in settings.parts and settings.only in job.name]


def run_matrix(folder: Path, settings: Settings, report: Callable[[Result], None] | None = None) -> list[Result]:
    """Run them. The stacks have the small tree, whose file systems the other part has with the large one."""
    chosen = jobs(settings)
    asks = not settings.fixed
    large = Workshop(folder / "large", small=settings.fixed or settings.small, asks_others=asks)
    small = Workshop(folder / "small", small=True, asks_others=asks)
    for workshop in (large, small):
        workshop.folder.mkdir()
    families = {job.key.filesystem for job in chosen if isinstance(job.key, Cell)}
    missing = {family: reason for family in sorted(families) if (reason := make_stacked(small, family))}
    for job in chosen:
        if job.part == FILE_SYSTEMS:
            large.prepare(recipes()[job.name].shape)
        if isinstance(job.key, System):
            with suppress(NotBuilt):  # each of its cells says why
                prepare(small.folder, job.key.kind)
    results = []
    with ProcessPoolExecutor(settings.workers) as pool:
        pending = [pool.submit(check, large if job.part == FILE_SYSTEMS else small, job, missing) for job in chosen]
        for future in pending:
            results.append(future.result())
            if report is not None:
                report(results[-1])
    return results


def make_stacked(workshop: Workshop, family: str) -> str:
    """Make the file system that stands for a family; why it cannot be made, or nothing."""
    recipe = recipes()[STACKED[family]]
    workshop.prepare(recipe.shape)
    with workshop.room(f"base {family}") as room:
        try:
            recipe.build(workshop.tree(recipe.shape), room / "image")
        except NotBuilt as error:
            return str(error)
        workshop.keep_stacked(family, room / "image", list(truths(workshop, recipe, room / "image")))
    return ""


def check(workshop: Workshop, job: Job, missing: dict[str, str]) -> Result:
    """One cell. An exception is a fault of this cell alone."""
    try:
        return _check(workshop, job, missing)
    except Exception:
        lines = traceback.format_exc().splitlines()
        return Result(job.part, job.name, "error", (), EQUAL, Outcome(SILENT, differences=tuple(lines[-8:])))


def _check(workshop: Workshop, job: Job, missing: dict[str, str]) -> Result:
    if isinstance(job.key, Case):
        row = "btrfs" if job.key.kind == "btrfs" else job.key.name.split()[1].rstrip(",")
        return Result(job.part, job.name, row, (), EQUAL, check_case(workshop, job.key))
    if job.part == VOLUME_DRIVERS and isinstance(job.key, str):
        return Result(job.part, job.name, job.name, (), EQUAL, drivers.check_volume(workshop, job.key))
    if isinstance(job.key, System):
        return Result(job.part, job.name, job.key.kind, (), EQUAL, check_system(workshop, job.key))
    if isinstance(job.key, Cell):
        cell = job.key
        recipe = recipes()[STACKED[cell.filesystem]]
        reason = missing.get(cell.filesystem)
        outcome = Outcome(NOT_BUILT, reason=reason) if reason else check_cell(workshop, cell, recipe)
        return Result(job.part, job.name, cell.container, tuple(cell), EQUAL, outcome)
    recipe = recipes()[job.key]
    expects = REPORTED if recipe.is_unread else EQUAL
    return Result(job.part, job.name, recipe.family, (), expects, check_recipe(workshop, recipe))
