"""Real systems: trees of Debian and of rpm, packed into file systems; what the package managers say is the truth."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.guest import open_guest
from douane_guest.source import FileSource
from douane_guest.system import parse_os_release

from .check import EQUAL, NOT_BUILT, REPORTED, SILENT, Outcome
from .recipe import Build, by_kernel, by_program
from .workshop import NotBuilt, Workshop, run

SIZE = 1500
TARGETS: dict[str, Build] = {
    "ext4": by_program("mke2fs", "-q", "-F", "-t", "ext4", "-d", "TREE", "IMAGE", f"{SIZE}M", size=SIZE),
    "xfs": by_kernel("xfs", "", "mkfs.xfs", "-q", "-f", size=SIZE),
    "btrfs": by_program("mkfs.btrfs", "-q", "-f", "--rootdir", "TREE", "IMAGE", size=SIZE),
    "squashfs": by_program("mksquashfs", "TREE", "IMAGE", "-quiet", "-no-progress", "-comp", "zstd"),
}
SPEC = """Name: {name}
Version: {version}
Release: {release}
{epoch}
Summary: A package
License: MIT
BuildArch: noarch
%description
A package.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo {name} > %{{buildroot}}/usr/share/{name}/file
%files
/usr/share/{name}
"""
PACKAGES = [
    (f"package-{number}", f"{number}.{number % 7}~rc1" if number % 5 == 0 else f"{number}.2", f"{number % 3 + 1}.fc42")
    for number in range(12)
]
DATABASES = {"sqlite": "usr/lib/sysimage/rpm"}
"""The kind of database, and its place in Fedora. Debian's rpm writes no others; guest/tests has stored ones."""

Truth = set[tuple[str, str, str]]
"""Name, version with epoch and release, architecture."""


class System(NamedTuple):
    """A system, and a file system for it."""

    name: str
    kind: str
    target: str


def systems() -> Iterator[System]:
    """All of them."""
    for kind in ("Debian by debootstrap", *(f"rpm in {database}" for database in DATABASES)):
        for target in TARGETS:
            yield System(f"{kind}, {target}", kind, target)


def prepare(folder: Path, kind: str) -> None:
    """Make the tree of a system, if it is not there. Raises NotBuilt."""
    if _tree(folder, kind).exists():
        return
    with tempfile.TemporaryDirectory(dir=folder) as room:
        root = Path(room) / "root"
        if kind.startswith("Debian"):
            run("debootstrap", "--variant=minbase", "stable", root)
        else:
            _install_rpms(Path(room), root, kind.rpartition(" ")[2])
        root.rename(_tree(folder, kind))


def _tree(folder: Path, kind: str) -> Path:
    return folder / f"system-{kind.replace(' ', '-')}"


def _install_rpms(room: Path, root: Path, database: str) -> None:
    build = room / "build"
    build.mkdir()
    for number, (name, version, release) in enumerate(PACKAGES):
        spec = build / f"{name}.spec"
        epoch = f"Epoch: {number}" if number % 4 == 3 else ""
        spec.write_text(SPEC.format(name=name, version=version, release=release, epoch=epoch))
        run("rpmbuild", "-bb", "--define", f"_topdir {build}", spec)
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('NAME="Example Linux"\nID=example\nVERSION_ID=42\nID_LIKE="fedora suse"\n')
    rpms = sorted(build.glob("RPMS/noarch/*.rpm"))
    words = ("--root", root, "--dbpath", f"/{DATABASES[database]}", "--define", f"_db_backend {database}")
    run("rpm", *words, "-i", "--nodeps", "--noscripts", "--nosignature", *rpms)
    if not any((root / DATABASES[database]).iterdir()):
        raise NotBuilt(f"rpm wrote no database of the kind {database}")


def truth_of(folder: Path, kind: str) -> Truth:
    """What the package manager says of the tree."""
    root = _tree(folder, kind)
    if kind.startswith("Debian"):
        words = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W"]
        text = run(*words, "-f", "${Package}\t${Version}\t${Architecture}\n")
    else:
        database = kind.rpartition(" ")[2]
        words = ["rpm", "--root", str(root), "--dbpath", f"/{DATABASES[database]}"]
        form = "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\n"
        text = run(*words, "--define", f"_db_backend {database}", "-qa", "--qf", form)
    return {(name, version, arch) for name, version, arch in (line.split("\t") for line in text.splitlines())}


def check_system(workshop: Workshop, system: System) -> Outcome:
    """Pack it, and ask douane-guest for the system and its packages."""
    try:
        prepare(workshop.folder, system.kind)
        truth = truth_of(workshop.folder, system.kind)
        with workshop.room(system.name) as room:
            tree = _tree(workshop.folder, system.kind)
            TARGETS[system.target](tree, room / "image")
            return _compare(room / "image", truth, parse_os_release((tree / "etc/os-release").read_bytes()), len(truth))
    except NotBuilt as error:
        return Outcome(NOT_BUILT, reason=str(error))


def _compare(image: Path, truth: Truth, release: dict[str, str], count: int) -> Outcome:
    fd = os.open(image, os.O_RDONLY)
    try:
        guest = open_guest(FileSource(fd), Budget())
        fields = guest.os
        packages = {(package.name, package.version, package.arch) for package in guest.packages()}
        unread = tuple(f"{part.where}: {part.code}: {part.why}" for part in guest.unread)
    finally:
        os.close(fd)
    lines = [f"missing: {entry}" for entry in sorted(truth - packages)]
    lines += [f"not expected: {entry}" for entry in sorted(packages - truth)]
    lines += [] if fields == release else [f"the system is {fields}, and should be {release}"]
    status = (SILENT if lines else EQUAL) if not unread else REPORTED
    return Outcome(status, "the package manager", count, tuple(lines), unread)
