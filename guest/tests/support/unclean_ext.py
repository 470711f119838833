"""Ext images whose last changes are only in the journal: taken while they were mounted, and stored ones.

``python guest/tests/support/unclean_ext.py`` makes the stored ones again: as root, with loop devices.
"""

from __future__ import annotations

import json
import lzma
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from ext_images import kernel_truth, make_ext, mounted
from guest_trees import Facts

DATA = Path(__file__).parent.parent / "data"
SMALL = ("-b", "1024", "-J", "size=1", "-I", "256")
"""A journal of 1,024 blocks: what is written below goes around it more than once if it has the data too."""
CASES = {
    "ext3": (["-t", "ext3", *SMALL], "data=ordered"),
    "ext3 with data": (["-t", "ext3", *SMALL], "data=journal"),
    "ext4": (["-t", "ext4", *SMALL], "data=ordered"),
    "ext4 with data": (["-t", "ext4", *SMALL], "data=journal"),
    "checksums of transactions": (["-t", "ext4", "-O", "^metadata_csum", *SMALL], "journal_checksum"),
    "commits without waiting": (["-t", "ext4", "-O", "^64bit", *SMALL], "data=writeback,journal_async_commit"),
    "fast commits": (["-t", "ext4", "-O", "fast_commit", "-b", "1024", "-J", "size=2"], "data=ordered"),
    "fast commits at the end": (
        ["-t", "ext4", "-O", "fast_commit", "-b", "1024", "-J", "size=2,fast_commit_size=256"],
        "data=ordered",
    ),
    "many features": (["-t", "ext4", "-O", "inline_data,orphan_file,ea_inode,bigalloc", *SMALL], "data=ordered"),
}


class Unclean(NamedTuple):
    """An image, and what the kernel shows of it."""

    data: bytes
    truth: dict[bytes, Facts]


def fill(folder: Path) -> None:
    """Folders of files that begin with the magic number of the journal; some are removed, so that blocks are revoked
    and used again; at the end what only the journal has."""
    body = b"".join(b"a line %d\n" % number for number in range(300))
    for number in range(8):
        subfolder = folder / f"folder{number}"
        subfolder.mkdir()
        for index in range(20):
            write(subfolder / f"file{index}", bytes.fromhex("c03b3998") + b"%d %d " % (number, index) + body)
        if number % 2:
            shutil.rmtree(folder / f"folder{number - 1}")
    sync(folder)
    for index in range(10):
        write(folder / f"late{index}", b"late %d" % index)
    (folder / "late link").symlink_to("late1")
    os.rename(folder / "late2", folder / "new name")
    os.link(folder / "late3", folder / "second name")
    os.unlink(folder / "late4")
    (folder / "late5").chmod(0o4711)
    with (folder / "late6").open("r+b") as file:
        file.truncate(3)
        file.seek(5000)
        file.write(b"behind a hole")
    for name in ("late6", "late5", "new name", "second name"):
        sync(folder / name)


def change_with_fast_commits(folder: Path) -> None:
    """Changes that the kernel writes as fast commits, each synced by its file."""
    folders = [folder / "folder1", folder / "folder3"]
    for index in range(12):
        write(folders[index % 2] / f"fast{index}", b"fast %d " % index * (index * 200))
    (folder / "made").mkdir()
    (folder / "made/below").mkdir()
    write(folder / "made/below/file", b"in a folder of a fast commit")
    os.rename(folders[0] / "fast2", folder / "made/moved")
    os.link(folders[1] / "fast3", folder / "made/second")
    os.unlink(folders[1] / "fast5")
    with (folders[0] / "fast8").open("r+b") as file:
        file.truncate(1500)
    with (folders[1] / "fast9").open("r+b") as file:
        file.seek(30_000)
        file.write(b"behind a hole")
        file.seek(0)
        file.write(b"OVER")
    for index in (8, 9, 6, 7):
        sync(folders[index % 2] / f"fast{index}")
    write(folders[1] / "last", b"the last one")


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    sync(path)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def taken_while_mounted(case: str, folder: Path) -> Unclean | None:
    """A new image; None where this machine does not allow mounts."""
    options, mount = CASES[case]
    image = make_ext(folder / "image", *options, size="8M")
    copy = folder / "copy"
    with mounted(image, mount) as root:
        if root is None:
            return None
        fill(root)
        if "at the end" in case:
            sync(root)
            change_with_fast_commits(root)
        shutil.copyfile(image, copy)
    data = copy.read_bytes()
    with mounted(copy, "rw") as root:  # replays the journal; the bytes above are those before
        assert root
    truth = kernel_truth(copy)
    assert truth
    return Unclean(data, truth)


def stored(case: str) -> Unclean:
    """The image of a case as it was made once."""
    path = DATA / f"ext-{case.replace(' ', '-')}"
    facts = json.loads(path.with_suffix(".json").read_text())
    truth = {
        os.fsencode(name): Facts(*fact)._replace(target=os.fsencode(fact[6]) if fact[6] else None)
        for name, fact in facts.items()
    }
    return Unclean(lzma.decompress(path.with_suffix(".img.xz").read_bytes()), truth)


def store_all() -> None:
    DATA.mkdir(exist_ok=True)
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            unclean = taken_while_mounted(case, Path(folder))
        if unclean is None:
            sys.exit(f"the kernel does not mount {case}")
        path = DATA / f"ext-{case.replace(' ', '-')}"
        path.with_suffix(".img.xz").write_bytes(lzma.compress(unclean.data, preset=9))
        facts = {
            os.fsdecode(name): fact._replace(target=os.fsdecode(fact.target) if fact.target else None)
            for name, fact in sorted(unclean.truth.items())
        }
        lines = [f"{json.dumps(name)}: {json.dumps(fact)}" for name, fact in facts.items()]
        path.with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    store_all()
