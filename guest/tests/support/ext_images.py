"""Images of ext file systems, made by mke2fs and changed by debugfs, and what the kernel shows of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from guest_trees import Facts, truth

from douane_guest.budget import Budget
from douane_guest.filesystems import ext
from douane_guest.filesystems.ext import log
from douane_guest.filesystems.ext.opening import read_superblock
from douane_guest.filesystems.ext.system import ExtSystem
from douane_guest.source import BytesSource, FileSource


def make_ext(image: Path, *options: str, tree: Path | None = None, size: str = "96M") -> Path:
    """A new file system, with the contents of a folder."""
    filled = ["-d", str(tree)] if tree else []
    run("mke2fs", "-q", "-F", *options, *filled, str(image), size)
    return image


def debugfs(image: Path, *commands: str) -> str:
    """Run commands on an image, writing."""
    process = subprocess.run(
        ["debugfs", "-w", "-f", "-", str(image)], input="\n".join(commands), capture_output=True, text=True, check=True
    )
    return process.stdout


def run(*command: str) -> None:
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    if process.returncode:
        raise OSError(f"{command}: {process.stderr}")


@contextlib.contextmanager
def opened(image: Path, budget: Budget | None = None) -> Iterator[ExtSystem]:
    """The image, read by the package."""
    with image.open("rb") as file:
        yield ext.open(FileSource(file.fileno()), budget or Budget())


@contextlib.contextmanager
def mounted(image: Path, options: str) -> Iterator[Path | None]:
    """Where the kernel shows the image; None where this machine does not allow mounts, or has not the feature."""
    folder = image.with_suffix(".mount")
    folder.mkdir(exist_ok=True)
    try:
        run("mount", "-t", "ext4", "-o", f"loop,{options}", str(image), str(folder))
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        run("umount", str(folder))


def kernel_truth(image: Path) -> dict[bytes, Facts] | None:
    """What the kernel shows of a clean image; None without the right to mount."""
    with mounted(image, "ro") as folder:
        return truth(folder) if folder else None


def node_at(system: ExtSystem, path: str):
    """The object at a path."""
    node = system.node(system.root)
    for name in filter(None, path.split("/")):
        refs = {entry.name: entry.ref for entry in system.entries(node)}
        node = system.node(refs[os.fsencode(name)])
    return node


def content(system: ExtSystem, path: str) -> bytes:
    """The bytes of a file."""
    node = node_at(system, path)
    data = bytearray(node.size)
    for offset, piece in system.chunks(node):
        data[offset : offset + len(piece)] = piece
    return bytes(data)


def journal_of(data: bytes) -> tuple[log.Log, log.Header]:
    """The journal of an image."""
    source = BytesSource(data)
    block = read_superblock(source)
    files = ExtSystem(source, block, Budget())
    raw = files.inodes.raw(8)
    count = files.size_of(raw) // block.block_size
    blocks = log.Log(source, block.block_size, list(files.runs(8, raw, 0, count)))
    return blocks, log.read_header(blocks, count)


def without_replay(data: bytes) -> ExtSystem:
    """The image as its blocks are, without its journal."""
    source = BytesSource(data)
    return ExtSystem(source, read_superblock(source), Budget())
