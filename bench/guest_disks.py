"""Disks of 10 GiB with the files of this machine: what `guest` measures.

Each has a GPT and one partition, and is made without root: `mkfs.ext4 -d`, `mkfs.btrfs --rootdir`, and the protofile of
mkfs.xfs(8). The files are those of /usr, 56 KB on average, with the list of Debian's packages.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .driving import WrongOutcome
from .harness import GiB, MiB, progress

PLACES = ("/usr/bin", f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/share", "/usr/lib", "/usr/local")
DISK = 10 * GiB
START = MiB
"""Of the partition; the last MiB of the disk has the second table."""

STATUS = Path("/var/lib/dpkg/status")
PACKAGES = 243
"""Where the machine has no dpkg."""


class Tree:
    """A folder with `files` files of together about `size` bytes, made once."""

    def __init__(self, folder: Path, files: int, size: int) -> None:
        self.folder = folder
        self.files = 0
        self.bytes = 0
        if not folder.exists():
            progress(f"  copying {files} files of {PLACES[0]} and others")
            _write_system(folder)
            _copy(folder, files, size)
        for entry in _files(folder):
            self.files += 1
            self.bytes += entry.stat(follow_symlinks=False).st_size
        if self.files < files:
            raise WrongOutcome(f"the machine has {self.files} files in {', '.join(PLACES)}; {files} are needed")

    def tar(self, path: Path) -> Path:
        """The same files in a tar, in the page cache; made once."""
        if not path.exists():
            _run(["tar", "-C", str(self.folder), "-cf", str(path), "."])
        return path


def disk(tree: Tree, kind: str) -> Path:
    """A qcow2 with the file system `kind`: ext4, xfs or btrfs; made once, beside the tree."""
    path = tree.folder.with_name(f"{kind}.qcow2")
    if not path.exists():
        progress(f"  making a disk with {kind}")
        system, raw = path.with_suffix(".partition"), path.with_suffix(".raw")
        with system.open("wb") as file:
            file.truncate(DISK - 2 * START)
        _MAKERS[kind](tree.folder, system)
        with raw.open("wb") as file:
            file.truncate(DISK)
        _run(["sfdisk", "-q", str(raw)], f"label: gpt\nstart={START // 512}, size={(DISK - 2 * START) // 512}\n")
        _copy_sparse(system, raw, START)
        system.unlink()
        _run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path)])
        raw.unlink()
    return path


def _ext4(tree: Path, system: Path) -> None:
    _run(["mkfs.ext4", "-q", "-F", "-d", str(tree), str(system)])


def _btrfs(tree: Path, system: Path) -> None:
    _run(["mkfs.btrfs", "-q", "-f", "--rootdir", str(tree), str(system)])


def _xfs(tree: Path, system: Path) -> None:
    prototype = tree.with_name("prototype")
    with prototype.open("w") as file:
        file.write("/\n0 0\nd--755 0 0\n")
        for line in _prototype(tree):
            file.write(line + "\n")
        file.write("$\n")
    _run(["mkfs.xfs", "-q", "-f", "-p", str(prototype), str(system)])
    prototype.unlink()


_MAKERS = {"ext4": _ext4, "xfs": _xfs, "btrfs": _btrfs}


def _prototype(folder: Path) -> Iterator[str]:
    """The lines of a folder in a protofile."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield f"{entry.name} d--755 0 0"
            yield from _prototype(Path(entry.path))
            yield "$"
        elif stat.S_ISLNK(mode):
            yield f"{entry.name} l--777 0 0 {os.readlink(entry.path)}"
        else:
            yield f"{entry.name} ---{mode & 0o777:03o} 0 0 {entry.path}"


def _write_system(folder: Path) -> None:
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    status = folder / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    if STATUS.exists():
        shutil.copyfile(STATUS, status)
    else:
        text = "Package: package-{}\nStatus: install ok installed\nVersion: 1-1\nArchitecture: amd64\n"
        status.write_text("\n".join(text.format(number) for number in range(PACKAGES)))


def _copy(folder: Path, files: int, size: int) -> None:
    """Copy files and links until there are enough. Half of the bytes may be in a few files, as in real systems; the
    other half grows with their number."""
    count = copied = 0
    for place in PLACES:
        for source, folders, names in os.walk(place):
            folders[:] = sorted(name for name in folders if _is_plain(name))
            target = Path(f"{folder}{source}")
            for name in filter(_is_plain, sorted(names)):
                path = os.path.join(source, name)
                state = os.lstat(path)
                if os.path.lexists(target / name):
                    continue
                if stat.S_ISLNK(state.st_mode) and _is_plain(os.readlink(path)) and target.exists():
                    (target / name).symlink_to(os.readlink(path))
                elif stat.S_ISREG(state.st_mode) and os.access(path, os.R_OK):
                    if copied + state.st_size > size // 2 + size * count // (2 * files):
                        continue
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, target / name)
                    count += 1
                    copied += state.st_size
                if count >= files:
                    return


def _is_plain(name: str) -> bool:
    """False for a name that a protofile cannot have: it is a list of words."""
    return name.isascii() and not any(character.isspace() or character in ":$" for character in name)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield entry


def _copy_sparse(source: Path, target: Path, at: int) -> None:
    """Copy the data of a file to an offset of another, without its holes (lseek(2))."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        size, end = source.stat().st_size, 0
        while end < size:
            try:
                start = os.lseek(reader.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: the rest is a hole
                return
            end = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            while start < end:
                start += os.copy_file_range(reader.fileno(), writer.fileno(), end - start, start, at + start)


def _run(words: Sequence[str], text: str = "") -> None:
    try:
        result = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise WrongOutcome(f"{words[0]} is not installed") from None
    if result.returncode:
        raise WrongOutcome(f"{json.dumps(list(words))} ended with {result.returncode}: {result.stderr.strip()}")


def many_entries(folder: Path, count: int) -> Path:
    """A squashfs of `count` empty files in folders of 100,000; made once."""
    path = folder / f"entries-{count}"
    if not path.exists():
        # No pseudo files: mksquashfs runs a command for each, and searches all names of the folder.
        with tempfile.TemporaryDirectory(dir=folder) as tree:
            for number in range(count):
                if number % 100_000 == 0:
                    os.mkdir(f"{tree}/f{number // 100_000}")
                os.mknod(f"{tree}/f{number // 100_000}/a-file-with-a-name-of-this-length-{number}")
            _run(["mksquashfs", tree, str(path), "-quiet", "-no-progress"])
    return path
