"""Images that are taken while they are mounted: the kernel's view after its replay is the truth."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .check import KERNEL, NOT_BUILT, Outcome, judge, read_image
from .facts import comparable, facts_of_folder
from .workshop import MEBIBYTE, NotBuilt, Workshop, empty_file, mounted, run

EXT = ("mke2fs", "-q", "-F", "-b", "1024", "-J", "size=4")
REPETITIONS = 3


class Case(NamedTuple):
    """A file system, and what happens to it while it is copied."""

    name: str
    kind: str
    size: int
    make: tuple[str, ...]
    options: str = ""
    is_busy: bool = False
    """Written to while it is copied; else all changes are in its log alone."""

    seed: int = 0


def cases(repetitions: int = REPETITIONS) -> Iterator[Case]:
    """All of them."""
    makes = [
        ("ext3", "ext4", 24, (*EXT, "-t", "ext3"), ""),
        ("ext4", "ext4", 24, (*EXT, "-t", "ext4"), ""),
        ("ext4, journal of data", "ext4", 24, (*EXT, "-t", "ext4"), "data=journal"),
        ("ext4, fast commits", "ext4", 24, (*EXT, "-t", "ext4", "-O", "fast_commit"), ""),
        ("ext4, inline data, bigalloc", "ext4", 24, (*EXT, "-t", "ext4", "-O", "inline_data,bigalloc"), ""),
        ("xfs", "xfs", 320, ("mkfs.xfs", "-q", "-f"), ""),
        ("xfs, nrext64, rmapbt", "xfs", 320, ("mkfs.xfs", "-q", "-f", "-m", "rmapbt=1", "-i", "nrext64=1"), ""),
        ("xfs, blocks of 1024", "xfs", 320, ("mkfs.xfs", "-q", "-f", "-b", "size=1024", "-n", "size=8192"), ""),
        ("btrfs", "btrfs", 160, ("mkfs.btrfs", "-q", "-f"), ""),
        ("btrfs, zstd", "btrfs", 160, ("mkfs.btrfs", "-q", "-f"), "compress-force=zstd"),
        ("btrfs, one copy of metadata", "btrfs", 160, ("mkfs.btrfs", "-q", "-f", "-m", "single"), "nodatasum"),
    ]
    for name, kind, size, make, options in makes:
        for is_busy in (False, True):
            what = "while it is written" if is_busy else "synced files in the log"
            for seed in range(repetitions):
                yield Case(f"unclean {name}, {what}, {seed}", kind, size, make, options, is_busy, seed)


def check_case(workshop: Workshop, case: Case) -> Outcome:
    """Take an image, have the kernel replay a copy, and compare."""
    with workshop.room(case.name) as room:
        start = time.monotonic()
        try:
            image, replayed = _take(case, room)
            with mounted(replayed, case.kind, "ro,subvolid=5" if case.kind == "btrfs" else "ro") as folder:
                truth = facts_of_folder(folder)
        except NotBuilt as error:
            return Outcome(NOT_BUILT, reason=str(error))
        built = time.monotonic()
        processor = time.process_time()
        reading = read_image(image)
        seconds = time.process_time() - processor
        # The kernel gives a folder the time of the replay when it adds a name from a fast commit.
        lacks = ["mtime_ns of folders"] if "fast commits" in case.name else []
        pair = comparable(truth, lacks), comparable(reading.listing, lacks)
        outcome = judge([(f"{KERNEL} after its replay", *pair)], reading)
        return outcome._replace(build_seconds=built - start, read_seconds=seconds)


def _take(case: Case, room: Path) -> tuple[Path, Path]:
    """The copy as it was taken, and one that the kernel has mounted since."""
    device = empty_file(room / "device", case.size * MEBIBYTE)
    run(*case.make, device)
    copy = room / "copy"
    chance = random.Random(case.seed)
    with mounted(device, case.kind, f"rw,{case.options}" if case.options else "rw") as folder:
        write_files(folder, chance, "first", 120, synced=False)
        os.sync()
        write_files(folder, chance, "second", 40, synced=True)
        change_files(folder, chance)
        if case.is_busy:
            with written(folder, case.seed):
                run("cp", "--sparse=always", device, copy)
        else:
            run("cp", "--sparse=always", device, copy)
    replayed = room / "replayed"
    shutil.copyfile(copy, replayed)
    with mounted(replayed, case.kind, "rw"):
        pass
    return copy, replayed


@contextmanager
def written(folder: Path, seed: int) -> Iterator[None]:
    """While this is open, another thread writes."""
    ended = threading.Event()

    def write() -> None:
        chance = random.Random(seed + 1000)
        number = 0
        while not ended.is_set():
            number += 1
            write_files(folder, chance, f"busy{number}", 6, synced=number % 3 == 0)
            if number % 4 == 0:
                change_files(folder, chance)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def write_files(folder: Path, chance: random.Random, word: str, count: int, *, synced: bool) -> None:
    """Small files in several folders, of text that no two have in common."""
    for number in range(count):
        below = folder / f"folder {chance.randrange(8)}"
        below.mkdir(exist_ok=True)
        path = below / f"{word} {number}"
        with path.open("wb") as file:
            file.write(b"".join(b"%s %d %d\n" % (word.encode(), number, line) for line in range(chance.randrange(300))))
            if chance.random() < 0.2:
                file.seek(chance.randrange(60_000), os.SEEK_CUR)
                file.write(b"behind a hole")
            if synced:
                file.flush()
                os.fsync(file.fileno())


def change_files(folder: Path, chance: random.Random) -> None:
    """Renames, links, truncations, attributes, removals; each synced by a file of its folder."""
    paths = sorted(path for path in folder.glob("folder */*") if path.is_file() and not path.is_symlink())
    for path in chance.sample(paths, min(24, len(paths))):
        action = chance.randrange(7)
        sibling = path.with_name(f"{path.name} {action} {chance.randrange(1 << 30)}")
        if action == 0:
            path.rename(sibling)
            continue
        if action == 1:
            sibling.hardlink_to(path)
        elif action == 2:
            path.unlink()
            continue
        elif action == 3:
            os.truncate(path, chance.randrange(9000))
        elif action == 4:
            os.setxattr(path, "user.late", b"%d" % chance.randrange(1 << 30))
        elif action == 5:
            path.chmod(0o640)
            sibling.symlink_to("x" * chance.choice((10, 59, 60, 200)))
        else:
            with path.open("r+b") as file:
                file.write(b"CHANGED")
        with path.open("rb") as file:
            os.fsync(file.fileno())
