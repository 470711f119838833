"""Real systems, packed into file systems: every file is that of the tree, and system and packages are those that the
package manager tells."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.guest import open_guest
from douane_guest.source import FileSource
from douane_guest.system import parse_os_release

from .check import EQUAL, NOT_BUILT, PACKED, REPORTED, SILENT, Outcome, as_packed
from .facts import Listing, differences, facts_of_folder, facts_of_guest
from .recipe import Build, by_kernel, by_program
from .registry import recipes
from .system_trees import KINDS, Truth, make_tree_of
from .workshop import NotBuilt, Workshop

SIZE = 1500
MANAGER = "the package manager"


class Target(NamedTuple):
    """A file system for a system, and the recipe that says what it keeps of a tree."""

    build: Build
    recipe: str


TARGETS = {
    "ext4": Target(
        by_program("mke2fs", "-q", "-F", "-t", "ext4", "-d", "TREE", "IMAGE", f"{SIZE}M", size=SIZE),
        "ext4, filled by mke2fs",
    ),
    "xfs": Target(by_kernel("xfs", "", "mkfs.xfs", "-q", "-f", size=SIZE), "xfs"),
    "btrfs": Target(
        by_program("mkfs.btrfs", "-q", "-f", "--rootdir", "TREE", "IMAGE", size=SIZE), "btrfs filled by mkfs.btrfs"
    ),
    "squashfs": Target(
        by_program("mksquashfs", "TREE", "IMAGE", "-quiet", "-no-progress", "-comp", "zstd"), "squashfs zstd"
    ),
}


class System(NamedTuple):
    """A system, and a file system for it."""

    name: str
    kind: str
    target: str


class Installed(NamedTuple):
    """What is true of a tree."""

    packages: Truth
    release: dict[str, str]
    files: Listing


def systems() -> Iterator[System]:
    """All of them."""
    for kind in KINDS:
        for target in TARGETS:
            yield System(f"{kind}, {target}", kind, target)


def prepare(folder: Path, kind: str) -> None:
    """Make the tree of a system, if it is not there. Raises NotBuilt."""
    tree = _tree(folder, kind)
    if _truth(folder, kind).exists():
        return
    with tempfile.TemporaryDirectory(dir=folder) as room:
        make_tree_of(kind, Path(room), Path(room) / "root")
        (Path(room) / "root").rename(tree)
    packages = KINDS[kind].truth(tree)
    release = parse_os_release((tree / "etc/os-release").read_bytes())
    _truth(folder, kind).write_bytes(pickle.dumps(Installed(packages, release, facts_of_folder(tree))))


def _tree(folder: Path, kind: str) -> Path:
    return folder / f"system-{kind.replace(' ', '-')}"


def _truth(folder: Path, kind: str) -> Path:
    return folder / f"installed-{kind.replace(' ', '-')}"


def check_system(workshop: Workshop, system: System) -> Outcome:
    """Pack it, and ask douane-guest for all files, the system and its packages."""
    try:
        prepare(workshop.folder, system.kind)
        installed: Installed = pickle.loads(_truth(workshop.folder, system.kind).read_bytes())
        with workshop.room(system.name) as room:
            target = TARGETS[system.target]
            target.build(_tree(workshop.folder, system.kind), room / "image")
            return _compare(room / "image", installed, target)
    except NotBuilt as error:
        return Outcome(NOT_BUILT, reason=str(error))


def _compare(image: Path, installed: Installed, target: Target) -> Outcome:
    fd = os.open(image, os.O_RDONLY)
    try:
        guest = open_guest(FileSource(fd), Budget())
        fields = guest.os
        packages = {(package.name, package.version, package.arch) for package in guest.packages()}
        reading = facts_of_guest(guest)
    finally:
        os.close(fd)
    recipe = recipes()[target.recipe]
    lines = [f"missing: {entry}" for entry in sorted(installed.packages - packages)]
    lines += [f"not expected: {entry}" for entry in sorted(packages - installed.packages)]
    lines += [] if fields == installed.release else [f"the system is {fields}, and should be {installed.release}"]
    lines += [] if installed.packages else ["the package manager names no package"]
    lines += differences(as_packed(recipe, installed.files), as_packed(recipe, reading.listing))
    status = (SILENT if lines else EQUAL) if not reading.unread else REPORTED
    entries = len(installed.files) + len(installed.packages)
    return Outcome(status, f"{PACKED} and {MANAGER}", entries, tuple(lines), tuple(reading.unread))
