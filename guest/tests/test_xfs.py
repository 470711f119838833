"""XFS: what is shown is what the kernel shows; images that only it can make are stored, with what it showed."""

from __future__ import annotations

import json
import lzma
import os
import stat
import subprocess
from pathlib import Path

import pytest
from guest_mutants import walk_all
from guest_trees import listing, truth, without
from guest_xfs import DATA, SMALL, find, opened
from sparse_images import SparseSource, load, read_truth

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch
from douane_guest.filesystems import xfs
from douane_guest.filesystems.base import FILE
from douane_guest.source import FileSource

CLEAN = ["block1k", "default", "directory16k", "inode2k", "old", "rmapbt", "small-clean"]
UNCLEAN = ["log", "log-block1k", "log-old", "log-stripe", "small", "torn"]
SIZE = 48 << 20


@pytest.mark.parametrize("name", CLEAN + UNCLEAN)
def test_what_is_shown_is_what_the_kernel_showed(name):
    system = opened(load(DATA / f"{name}.image"))
    assert listing(system) == read_truth(DATA / f"{name}.truth")
    assert (system.label, system.clean, system.unread) == ("label", name in CLEAN, [])


@pytest.mark.parametrize("name", CLEAN + UNCLEAN)
def test_extended_attributes_are_those_that_the_kernel_showed(name):
    system = opened(load(DATA / f"{name}.image"))
    facts = {}
    for entry in system.entries(system.node(system.root)):
        node = system.node(entry.ref)
        values = system.xattrs(node) if node.kind == FILE else {}
        if values:
            facts[entry.name.decode()] = {name.decode(): value.hex() for name, value in values.items()}
    assert facts == json.loads(lzma.decompress((DATA / f"{name}.attributes").read_bytes()))


def make_plain_tree(root: Path) -> None:
    """What a prototype file of mkfs.xfs can describe."""
    root.mkdir()
    (root / "empty").touch()
    (root / "lines").write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    for count in (1, 40, 300, 1500):
        (root / f"folder{count}").mkdir()
        for number in range(count):
            (root / f"folder{count}/a-rather-long-name-of-a-file,-number-{number:06}").touch()
    (root / "folder40" / "content").write_bytes(b"content" * 999)
    (root / "x\udcff\udcfe\\").touch()
    (root / "link").symlink_to("t" * 100)
    os.mkfifo(root / "fifo")
    deep = root
    for number in range(30):
        deep = deep / f"level{number}"
        deep.mkdir()
    (deep / "bottom").write_bytes(b"deep")
    (root / "lines").chmod(0o4755)


def prototype(root: Path) -> bytes:
    """The prototype file for a folder (mkfs.xfs(8), "-p")."""

    def described(path: Path, name: str) -> list[str]:
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        bits = f"{'u' if mode & 0o4000 else '-'}{'g' if mode & 0o2000 else '-'}{mode & 0o777:03o} 3 4"
        if path.is_symlink():
            return [f"{name} l{bits} {os.readlink(path)}"]
        if path.is_dir():
            inner = [line for child in sorted(path.iterdir()) for line in described(child, child.name)]
            return [f"{name} d{bits}".strip(), *inner, "$"]
        if stat.S_ISFIFO(status.st_mode):
            return [f"{name} p{bits}"]
        return [f"{name} -{bits} {path}"]

    lines = ["/stand/diag", "0 0", *described(root, "")]
    return os.fsencode("\n".join(lines) + "\n")


def make(image: Path, *options: object) -> FileSource:
    """A file system; the descriptor of the image stays open for the test."""
    with image.open("wb") as file:
        file.truncate(320 << 20 if "size=65536" in options else SIZE)
    subprocess.run(
        ["mkfs.xfs", "-q", *map(str, options), str(image)],
        check=True,
        capture_output=True,
        env={**os.environ, **SMALL},
    )
    return FileSource(os.open(image, os.O_RDONLY))


@pytest.mark.parametrize(
    "options",
    [
        "-m crc=0",
        "-m crc=0 -n ftype=0",
        "-m crc=0 -i size=256 -b size=512",
        "-m crc=0 -n size=16384 -b size=1024",
        "-m crc=0 -i attr=1,projid32bit=0 -l version=1,lazy-count=0",
        "-m crc=0 -n version=ci -i size=256",
        "-m crc=1 -d agcount=2",
        "-b size=2048 -i nrext64=1 -m rmapbt=1",
        "-b size=65536",
        "-s size=4096 -n size=65536",
        "-l su=256k",
        "-l su=32k -d su=64k,sw=2,agcount=3 -l size=8m",
    ],
)
def test_what_mkfs_packed_is_shown(tmp_path, options):
    tree = tmp_path / "tree"
    make_plain_tree(tree)
    (tmp_path / "prototype").write_bytes(prototype(tree))
    system = opened(make(tmp_path / "image", "-p", tmp_path / "prototype", *options.split()))
    fields = ("mtime_ns", "uid", "gid")
    facts = listing(system)
    assert without(facts, *fields) == without(truth(tree), *fields)
    assert (facts[b"lines"].uid, facts[b"lines"].gid) == (3, 4)
    assert (system.clean, system.unread) == (True, [])


def test_a_log_and_a_realtime_section_on_other_devices_are_told_as_unread(tmp_path):
    for name in ("log", "realtime"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(128 << 20)
    external = ("-l", f"logdev={tmp_path}/log,size=64m", "-r", f"rtdev={tmp_path}/realtime")
    system = opened(make(tmp_path / "image", *external))
    assert [(part.where, part.code) for part in system.unread] == [
        ("log", "guest-unclean"),
        ("realtime section", "guest-unknown"),
    ]


@pytest.mark.parametrize("start", [0, 1, 4096, 300_000, 10_000_000])
def test_reading_from_a_place_on_leaves_out_what_is_before_it(start):
    system = opened(load(DATA / "default.image"))
    for name in ("large", "extents", "allocated"):
        node = find(system, name)
        every = list(system.chunks(node))
        assert list(system.chunks(node, start)) == [(at, data) for at, data in every if at + len(data) > start]


def test_the_bounds_on_steps_and_bytes_are_kept():
    for budget in (Budget(steps=500), Budget(delivered=1000)):
        with pytest.raises(TooMuch):
            list(walk_all(xfs.open(load(DATA / "default.image"), budget)))


def test_what_is_no_xfs_is_not_taken_for_one(tmp_path):
    assert xfs.probe(load(DATA / "small.image"))
    assert not xfs.probe(SparseSource(100, {}))
    assert not xfs.probe(SparseSource(1 << 20, {}))
    with pytest.raises(Broken):
        opened(SparseSource(1 << 20, {}))
