"""Partition tables by sfdisk, sgdisk and fdisk, with one or several members in their partitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .pieces import Area, copy_into, padded_copy
from .workshop import MEBIBYTE, NotBuilt, empty_file, run

Maker = Callable[[list[Path], Path], None]
"""Of the members, whose sizes are whole mebibytes, and the disk."""


def none(members: list[Path], disk: Path) -> None:
    """The whole disk."""
    if len(members) > 1:
        raise NotBuilt("a disk without partitions has room for one member")
    padded_copy(members[0], disk)


def mbr(members: list[Path], disk: Path) -> None:
    """Primary partitions."""
    places = _places(members, first=1, gap=0)
    _make(members, disk, places)
    lines = [f"start={start}MiB, size={size}MiB, type={_kind(index)}" for index, (start, size) in enumerate(places)]
    run("sfdisk", "-q", disk, stdin="\n".join(["label: dos", *lines]) + "\n")


def mbr_logical(members: list[Path], disk: Path) -> None:
    """Logical partitions, behind a primary one without content."""
    places = _places(members, first=4, gap=1)
    _make(members, disk, places)
    end = places[-1][0] + places[-1][1]
    lines = ["start=1MiB, size=1MiB, type=83", f"start=3MiB, size={end - 3}MiB, type=f"]
    lines += [f"start={start}MiB, size={size}MiB, type={_kind(index)}" for index, (start, size) in enumerate(places)]
    run("sfdisk", "-q", disk, stdin="\n".join(["label: dos", "unit: sectors", *lines]) + "\n")


def gpt(members: list[Path], disk: Path) -> None:
    """Sectors of 512 bytes."""
    places = _places(members, first=1, gap=0)
    _make(members, disk, places)
    run("sgdisk", *_gpt_words(places), disk)


def hybrid(members: list[Path], disk: Path) -> None:
    """A GPT whose first partition is in the MBR as well."""
    gpt(members, disk)
    run("sgdisk", "--hybrid", "1:EE", disk)


def gpt_4096(members: list[Path], disk: Path) -> None:
    """Sectors of 4096 bytes."""
    places = _places(members, first=1, gap=0)
    _make(members, disk, places)
    commands = ["g"]
    for number, (start, size) in enumerate(places, 1):
        commands += ["n", str(number), str(start * 256), str((start + size) * 256 - 1)]
    words = ("fdisk", "-b", "4096", "-w", "always", "-W", "never", disk)
    run(*words, stdin="\n".join([*commands, "w"]) + "\n")


TABLES: dict[str, Maker] = {
    "none": none,
    "MBR": mbr,
    "MBR, logical": mbr_logical,
    "GPT 512": gpt,
    "GPT 4096": gpt_4096,
    "hybrid": hybrid,
}


def _kind(index: int) -> str:
    return ("83", "8e", "fd", "83")[index % 4]


def _gpt_words(places: list[tuple[int, int]]) -> list[str]:
    words = []
    for number, (start, size) in enumerate(places, 1):
        words += ["-n", f"{number}:{start * 2048}:{(start + size) * 2048 - 1}", "-t", f"{number}:8300"]
    return words


def _places(members: list[Path], first: int, gap: int) -> list[tuple[int, int]]:
    places = []
    for member in members:
        size = -(-member.stat().st_size // MEBIBYTE)
        places.append((first, size))
        first += size + gap
    return places


def _make(members: list[Path], disk: Path, places: list[tuple[int, int]]) -> None:
    empty_file(disk, (sum(places[-1]) + 2) * MEBIBYTE)
    for member, (start, _) in zip(members, places, strict=True):
        copy_into(member, Area(disk, start * MEBIBYTE))
