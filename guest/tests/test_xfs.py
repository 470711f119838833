"""XFS: what is shown is what the kernel shows; images that only it can make are stored, with what it showed."""

from __future__ import annotations

import json
import lzma
import os
import stat
import struct
import subprocess
from pathlib import Path

import pytest
from guest_mutants import mutants, walk_all
from guest_trees import listing, truth, without
from sparse_images import SparseSource, load, read_truth

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, TooMuch, Unsupported
from douane_guest.filesystems import xfs
from douane_guest.filesystems.base import FILE
from douane_guest.filesystems.xfs import log_items, overlay
from douane_guest.filesystems.xfs.log_ring import Ring, find_span
from douane_guest.headers.crc32c import crc32c
from douane_guest.source import FileSource

DATA = Path(__file__).parent / "data/xfs"
CLEAN = ["block1k", "default", "directory16k", "inode2k", "old", "rmapbt", "small-clean"]
UNCLEAN = ["log", "log-block1k", "log-old", "log-stripe", "small", "torn"]
SIZE = 48 << 20
_SMALL = {"TEST_DIR": "/", "TEST_DEV": "/", "QA_CHECK_FS": "1"}
"""With these, mkfs.xfs makes file systems below 300 MB, whose logs take no time to write."""

STEPS = 2_000_000


def opened(source) -> xfs.Xfs:
    return xfs.open(source, Budget(steps=STEPS))


def find(system: xfs.Xfs, path: str):
    node = system.node(system.root)
    for name in path.encode().split(b"/"):
        node = system.node(next(entry.ref for entry in system.entries(node) if entry.name == name))
    return node


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
        env={**os.environ, **_SMALL},
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


def changed(source: SparseSource, *changes: tuple[int, bytes]) -> SparseSource:
    """The image with other bytes at some places, which do not cross blocks."""
    blocks = dict(source.blocks)
    for place, data in changes:
        number, within = divmod(place, 4096)
        block = blocks.get(number, bytes(4096))
        blocks[number] = block[:within] + data + block[within + len(data) :]
    return SparseSource(source.size, blocks)


def with_superblock(source: SparseSource, place: int, data: bytes) -> SparseSource:
    """The same with a changed superblock whose checksum is right."""
    altered = changed(source, (place, data))
    sector = altered.pread(0, 512)
    return changed(altered, (224, crc32c(sector[:224] + bytes(4) + sector[228:]).to_bytes(4, "little")))


@pytest.mark.parametrize(("bits", "word"), [(0x100, "metadir"), (0x200, "zoned"), (1 << 20, "bit 20")])
def test_incompatible_features_that_are_not_known_are_unsupported(bits, word):
    source = load(DATA / "small.image")
    incompat = int.from_bytes(source.pread(216, 4), "big") | bits
    with pytest.raises(Unsupported, match=word) as caught:
        opened(with_superblock(source, 216, incompat.to_bytes(4, "big")))
    assert caught.value.code == "guest-unknown"


def test_a_file_system_that_no_kernel_mounts_before_a_repair_is_unclean():
    source = load(DATA / "small.image")
    incompat = int.from_bytes(source.pread(216, 4), "big") | 0x10
    with pytest.raises(Unsupported) as caught:
        opened(with_superblock(source, 216, incompat.to_bytes(4, "big")))
    assert caught.value.code == "guest-unclean"


@pytest.mark.parametrize(
    ("place", "data"),
    [(126, b"\1"), (4, b"\0\0\0\0"), (84, b"\0\0\0\1"), (8, b"\x7f"), (123, b"\0"), (192, b"\x0a"), (88, b"\xff" * 4)],
)
def test_superblocks_that_contradict_themselves_are_broken(place, data):
    with pytest.raises(Broken):
        opened(with_superblock(load(DATA / "small.image"), place, data))


def test_a_superblock_with_a_wrong_checksum_is_broken():
    with pytest.raises(Broken, match="checksum"):
        opened(changed(load(DATA / "small.image"), (108, b"other")))


def ring_of(source: SparseSource) -> tuple[Ring, int]:
    """The log of the image `small`, and where it begins."""
    (start,) = struct.unpack(">Q", source.pread(48, 8))
    (group_blocks,) = struct.unpack(">I", source.pread(84, 4))
    (blocks,) = struct.unpack(">I", source.pread(96, 4))
    log = source.pread(124, 1)[0]
    place = ((start >> log) * group_blocks + (start & ((1 << log) - 1))) * 1024
    return Ring(source, place, blocks * 2, v2=True, uuid=source.pread(32, 16), budget=Budget()), place


def records_of(source: SparseSource) -> tuple[list, int]:
    """The records that a replay reads."""
    ring, place = ring_of(source)
    span = find_span(ring)
    records = []
    at = span.tail
    while at != span.head:
        records.append(ring.record(at))
        at += records[-1].sectors
    return records, place


def test_a_last_record_that_was_not_written_to_its_end_is_left_out_as_the_kernel_does():
    assert read_truth(DATA / "torn.truth") != read_truth(DATA / "small.truth")
    system = opened(load(DATA / "torn.image"))
    assert (system.clean, system.unread) == (False, [])
    assert listing(system) == read_truth(DATA / "torn.truth")


def without_log(source: SparseSource) -> SparseSource:
    """The same with a log that was never written."""
    ring, place = ring_of(source)
    blocks = dict(source.blocks)
    for number in range(place // 4096, (place + ring.sectors * 512) // 4096):
        blocks.pop(number, None)
    return SparseSource(source.size, blocks)


def test_changes_that_are_only_in_the_log_are_there_by_its_replay_alone():
    source = load(DATA / "small.image")
    assert b"late" in listing(opened(source))
    before = opened(without_log(source))
    assert before.clean
    assert b"late" not in listing(before)


def rewritten(source: SparseSource, old: bytes, new: bytes) -> SparseSource:
    """The image with another piece of the first record of its log that has it, whose checksum is right."""
    records, place = records_of(source)
    ring, _ = ring_of(source)
    for record in records:
        start = place + record.block * 512
        data = bytearray(ring.read(record.block, record.sectors))
        at = data.find(old)
        if at < 0:
            continue
        data[at : at + len(new)] = new
        head = bytes(data[: record.headers * 512])
        extensions = b"".join(head[n * 512 : n * 512 + 260] for n in range(1, -(-record.length // 32768)))
        body = bytes(data[record.headers * 512 :][: record.length])
        total = crc32c(head[:32] + bytes(4) + head[36:328] + extensions + body)
        data[32:36] = total.to_bytes(4, "little")
        altered = source
        for offset in range(0, len(data), 512):
            altered = changed(altered, (start + offset, bytes(data[offset : offset + 512])))
        return altered
    raise AssertionError("no record has it")


INODE_ITEM = b"\x3b\x12\x03\x00"


@pytest.mark.parametrize(
    ("new", "word"),
    [
        (b"\x77\x12", "unknown type"),
        (b"\x3b\x12\xff\xff", "number of regions"),
        (b"\x3b\x12\x04\x00", ""),
        (b"\x44\x12", "intentions to move extents"),
        (b"\x46\x12", "intentions to change an extended attribute"),
        (b"\x48\x12", "intentions to exchange extents"),
    ],
)
def test_a_log_with_an_item_that_is_not_understood_is_told_as_unread(new, word):
    system = opened(rewritten(load(DATA / "small.image"), INODE_ITEM, new))
    (part,) = system.unread
    assert (part.where, part.code, system.clean) == ("log", "guest-unclean", False)
    assert word in part.why
    assert listing(system)


def test_a_record_that_is_damaged_before_the_last_eight_is_told_as_unread():
    source = load(DATA / "log.image")
    (start,) = struct.unpack(">Q", source.pread(48, 8))
    (group_blocks,) = struct.unpack(">I", source.pread(84, 4))
    (blocks,) = struct.unpack(">I", source.pread(96, 4))
    log = source.pread(124, 1)[0]
    place = ((start >> log) * group_blocks + (start & ((1 << log) - 1))) * 4096
    ring = Ring(source, place, blocks * 8, v2=True, uuid=source.pread(32, 16), budget=Budget())
    first = ring.record(find_span(ring).tail)
    system = opened(changed(source, (place + (first.block + first.headers) * 512 + 40, b"\xff\xfe")))
    assert [(part.where, part.code) for part in system.unread] == [("log", "guest-unclean")]


@pytest.mark.parametrize(
    ("limit", "word"),
    [(overlay, "_SECTOR_LIMIT"), (log_items, "_MOST_BYTES")],
    ids=["changes", "transactions"],
)
def test_a_log_with_more_than_is_kept_in_memory_is_told_as_unread(monkeypatch, limit, word):
    monkeypatch.setattr(limit, word, 10)
    system = opened(load(DATA / "log.image"))
    (part,) = system.unread
    assert (part.code, system.clean) == ("guest-unclean", False)
    assert "kept in memory" in part.why


def test_blocks_of_quotas_in_the_log_are_refused_when_they_are_read():
    """Their replay depends on the options of the mount; no file is in them, unless the log lies."""
    over = overlay.Overlay(SparseSource(1 << 20, {}))
    over.doubt(4096, 512)
    assert over.pread(0, 4096) == bytes(4096)
    with pytest.raises(Unsupported) as caught:
        over.pread(4600, 100)
    assert caught.value.code == "guest-unclean"


def test_changes_on_top_of_a_source_are_read_at_every_offset():
    source = load(DATA / "small.image")
    over, expected = overlay.Overlay(source), bytearray(source.pread(0, 8192))
    for place, data in [(0, b"a" * 512), (700, b"b" * 1000), (2048, b"c" * 700), (1500, b"d")]:
        over.write(place, data)
        expected[place : place + len(data)] = data
    for start in (0, 1, 511, 512, 700, 2000, 4096):
        for count in (0, 1, 511, 513, 1024, 3000):
            assert over.pread(start, count) == expected[start : start + count]


def test_a_log_of_another_file_system_is_told_as_unread():
    source = load(DATA / "small.image")
    records, place = records_of(source)
    system = opened(changed(source, *[(place + record.block * 512 + 304, b"other") for record in records]))
    assert [part.code for part in system.unread] == ["guest-unclean"]


class Counted:
    """Counts the bytes that are read."""

    def __init__(self, source: SparseSource) -> None:
        self.source = source
        self.size = source.size
        self.bytes = 0

    def pread(self, offset: int, count: int) -> bytes:
        self.bytes += count
        return self.source.pread(offset, count)


@pytest.mark.parametrize(("name", "megabytes"), [("default", 4), ("log", 8)])
def test_opening_reads_a_small_part_of_the_log(name, megabytes):
    source = Counted(load(DATA / f"{name}.image"))
    assert find(opened(source), "small").size == 60
    assert source.bytes < megabytes << 20


def folder_leaf(source: SparseSource, path: str) -> tuple[int, bytes]:
    """Where the first leaf block of a folder is, and its bytes."""
    for number, block in source.blocks.items():
        if block[8:10] in {b"\x3d\xf1", b"\x3d\xff"}:
            return number * 4096, block
    raise AssertionError("no leaf")


def test_an_address_in_a_leaf_that_no_entry_has_is_broken():
    source = load(DATA / "default.image")
    place, block = folder_leaf(source, "folder300")
    (count,) = struct.unpack_from(">H", block, 56)
    live = next(n for n in range(count) if block[64 + n * 8 + 4 : 72 + n * 8] != bytes(4))
    address = int.from_bytes(block[64 + live * 8 + 4 : 72 + live * 8], "big") + 1
    altered = changed(source, (place + 64 + live * 8 + 4, address.to_bytes(4, "big")))
    with pytest.raises(Broken, match=r"do not agree|points behind"):
        list(walk_all(opened(altered)))


def test_an_entry_that_is_not_in_the_leaves_is_broken():
    source = load(DATA / "default.image")
    place, block = folder_leaf(source, "folder300")
    (count,) = struct.unpack_from(">H", block, 56)
    live = next(n for n in range(count) if block[64 + n * 8 + 4 : 72 + n * 8] != bytes(4))
    with pytest.raises(Broken, match="do not agree"):
        list(walk_all(opened(changed(source, (place + 64 + live * 8 + 4, bytes(4))))))


def inode_place(source: SparseSource, number: int) -> int:
    for block, data in source.blocks.items():
        for at in range(0, 4096, 512):
            if data[at : at + 2] == b"IN" and data[at + 152 : at + 160] == number.to_bytes(8, "big"):
                return block * 4096 + at
    raise AssertionError("no such inode")


@pytest.mark.parametrize(
    ("place", "data"),
    [
        (0, b"XX"),
        (2, b"\0\0"),
        (4, b"\2"),
        (5, b"\1"),
        (5, b"\7"),
        (56, b"\xff"),
        (82, b"\xff"),
        (152, b"\1"),
        (160, b"\1\1"),
    ],
)
def test_inodes_that_contradict_themselves_are_broken(place, data):
    source = load(DATA / "default.image")
    number = find(opened(source), "large").ref
    with pytest.raises(Broken):
        opened(changed(source, (inode_place(source, number) + place, data))).node(number)


def test_extents_out_of_order_and_outside_of_the_disk_are_broken():
    source = load(DATA / "default.image")
    node = find(opened(source), "large")
    place = inode_place(source, node.ref)
    for block, count in [(1 << 51, 1), (0, 1 << 20), (5, 0), ((1 << 52) - 1, 3)]:
        record = block << 21 | count
        altered = opened(changed(source, (place + 176, record.to_bytes(16, "big"))))
        with pytest.raises(Broken):
            list(altered.chunks(altered.node(node.ref)))


def test_a_file_of_the_realtime_section_is_unsupported():
    source = load(DATA / "default.image")
    node = find(opened(source), "large")
    system = opened(changed(source, (inode_place(source, node.ref) + 90, b"\0\1")))
    with pytest.raises(Unsupported, match="realtime"):
        list(system.chunks(system.node(node.ref)))


@pytest.mark.parametrize("start", [0, 1, 4096, 300_000, 10_000_000])
def test_reading_from_a_place_on_leaves_out_what_is_before_it(start):
    system = opened(load(DATA / "default.image"))
    for name in ("large", "extents", "allocated"):
        node = find(system, name)
        every = list(system.chunks(node))
        assert list(system.chunks(node, start)) == [(at, data) for at, data in every if at + len(data) > start]


def test_the_bounds_on_steps_entries_and_bytes_are_kept():
    for budget in (Budget(steps=500), Budget(entries=20), Budget(delivered=1000)):
        with pytest.raises(TooMuch):
            list(walk_all(xfs.open(load(DATA / "default.image"), budget)))


def test_what_is_no_xfs_is_not_taken_for_one(tmp_path):
    assert xfs.probe(load(DATA / "small.image"))
    assert not xfs.probe(SparseSource(100, {}))
    assert not xfs.probe(SparseSource(1 << 20, {}))
    with pytest.raises(Broken):
        opened(SparseSource(1 << 20, {}))


class Sliced:
    """A sparse image as bytes that can be cut."""

    def __init__(self, source: SparseSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return self.source.size

    def __getitem__(self, part: slice | int) -> bytes | int:
        if isinstance(part, int):
            return self.source.pread(part, 1)[0]
        return self.source.pread(part.start, part.stop - part.start)


def test_mutants_raise_nothing_but_the_three_errors():
    source = without_log(load(DATA / "small-clean.image"))
    assert mutants(Sliced(source), xfs.open, 300, steps=200_000) > 30


def test_mutants_of_the_log_are_replayed_or_told():
    """Only the records that a replay reads are changed, with checksums that are right again."""
    source = load(DATA / "small.image")
    records, _ = records_of(source)
    assert records
    ring, _ = ring_of(source)
    refused = 0
    body = ring.read(records[0].block + 1, records[0].sectors - 1)
    places = [at for at in range(4, len(body) - 8, max(len(body) // 60, 1) | 1) if at % 512 > 4]
    for at in places:
        piece = body[at : at + 8]
        try:
            system = opened(rewritten(source, piece, bytes(value ^ 0xFF for value in piece[:2])))
            refused += bool(system.unread)
            list(walk_all(system))
        except GuestError:
            refused += 1
    assert refused > len(places) // 8
