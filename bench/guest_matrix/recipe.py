"""How a file system with the tree in it is made, and what it keeps of the tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .facts import Facts
from .opinions import Opinion
from .tree import Shape
from .workshop import MEBIBYTE, empty_file, mounted, run

MICROSECOND, SECOND = 1_000, 1_000_000_000
Build = Callable[[Path, Path], None]
"""Of the tree and the image."""


@dataclass(frozen=True)
class Recipe:
    """A file system with some features."""

    name: str
    family: str
    """``ext4``, ``xfs``, ...: the rows of the summary."""

    build: Build
    shape: Shape = field(default_factory=Shape)
    mount: tuple[str, str] | None = None
    """The kernel's type and options, to see what the kernel shows of it. None: no kernel is asked."""

    lacks: frozenset[str] = frozenset()
    """Fields of the tree that the file system, or the program that packs it, does not keep."""

    volume: str = ""
    """Which of several file systems in the same place is meant."""

    step_ns: int = 1
    """Of its times."""

    drop: tuple[bytes, ...] = (b"lost+found",)
    """Paths that are not of the tree."""

    change: Callable[[bytes], bytes] | None = None
    """What becomes of the targets of links."""

    keeps: Callable[[bytes, Facts], bool] = lambda path, fact: True
    """False for an entry of the tree that the program does not pack."""

    by_clock: frozenset[bytes] = frozenset()
    """Paths whose time the kernel takes from its clock."""

    is_unread: bool = False
    """True where Douane is to say that it cannot read it."""

    opinions: tuple[Opinion, ...] = ()
    """Of other programs."""

    adds: frozenset[bytes] = frozenset()
    """Paths that the recipe adds to the tree, with all that is below them."""


def by_kernel(kind: str, options: str, *make: object, size: int) -> Build:
    """Made by a program, filled by the kernel."""

    def build(tree: Path, image: Path) -> None:
        empty_file(image, size * MEBIBYTE)
        run(*make, image)
        with mounted(image, kind, f"rw,{options}" if options else "rw") as folder:
            copy_tree(tree, folder)

    return build


def copy_tree(tree: Path, folder: Path) -> None:
    """All that is in the tree, with everything that a file system can keep."""
    run("cp", "-a", "--sparse=always", f"{tree}/.", folder)


def by_program(*words: object, size: int = 0) -> Build:
    """Made and filled by one program, whose arguments ``IMAGE`` and ``TREE`` stand for these."""

    def build(tree: Path, image: Path) -> None:
        if size:
            empty_file(image, size * MEBIBYTE)
        run(*({"IMAGE": image, "TREE": tree}.get(str(word), word) for word in words))

    return build
