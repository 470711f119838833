"""FAT12, FAT16 and FAT32, on file systems that dosfstools and mtools make."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from pathlib import Path

import pytest
from guest_mutants import mutants
from guest_stored import stored
from guest_trees import Facts, listing, make_tree, truth

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.filesystems import fat
from douane_guest.filesystems.base import FILE, FOLDER
from douane_guest.filesystems.fat import names
from douane_guest.source import BytesSource, FileSource

UTC = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
SECTOR = 512


def run(*command: object) -> bytes:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, env=UTC).stdout


def make_fat(image: Path, megabytes: int, *options: str) -> Path:
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    run("mkfs.fat", *options, image)
    return image


def fill(image: Path, tree: Path) -> None:
    run("mcopy", "-s", "-m", "-i", image, *sorted(tree.iterdir()), "::")


def small_tree(root: Path) -> Path:
    """What fits on a floppy disk."""
    (root / "folder/Below with a long name").mkdir(parents=True)
    (root / "README.TXT").write_bytes(b"short")
    (root / "lower.txt").write_bytes(b"case bits")
    (root / "Mixed.Txt").write_bytes(b"a long name")
    (root / "Grüße, 世界").write_bytes(b"unicode")
    (root / "folder/large").write_bytes(random.Random(1).randbytes(300_001))
    (root / "folder/empty").write_bytes(b"")
    for number in range(60):
        (root / f"folder/Below with a long name/number {number}").write_bytes(b"%d" % number)
    for path in [*root.rglob("*")]:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return root


def comparable(facts: dict[bytes, Facts]) -> dict[bytes, Facts]:
    """FAT has no owners; mtools gives folders the time of now; times have two seconds."""
    return {
        path: fact._replace(
            mode=None,
            uid=None,
            gid=None,
            mtime_ns=None if fact.kind == FOLDER else fact.mtime_ns // 2_000_000_000,
        )
        for path, fact in facts.items()
    }


def opened(image: Path | bytes) -> fat.Fat:
    source = BytesSource(image) if isinstance(image, bytes) else FileSource(os.open(image, os.O_RDONLY))
    assert fat.probe(source)
    return fat.open(source, Budget(steps=10_000_000))


@pytest.mark.parametrize(
    ("megabytes", "options"),
    [
        (2, ["-F", "12"]),
        (4, ["-F", "12", "-s", "8", "-f", "1"]),
        (16, ["-F", "16"]),
        (16, ["-F", "16", "-s", "2", "-S", "1024"]),
        (40, ["-F", "32"]),
        (300, ["-F", "32", "-S", "4096", "-s", "1"]),
    ],
)
def test_every_file_of_a_small_tree_is_read(tmp_path, megabytes, options):
    image = make_fat(tmp_path / "image", megabytes, *options)
    tree = small_tree(tmp_path / "tree")
    fill(image, tree)
    assert comparable(listing(opened(image))) == comparable(truth(tree))


def test_every_file_of_a_large_tree_is_read(tmp_path):
    make_tree(tmp_path / "tree", names="unicode", folder_size=300)
    (tmp_path / "tree" / "\N{GRINNING FACE}").unlink()  # mtools writes half of its surrogate pair
    image = make_fat(tmp_path / "image", 128, "-F", "32", "-s", "2")
    fill(image, tmp_path / "tree")
    assert comparable(listing(opened(image))) == comparable(truth(tmp_path / "tree"))


def test_a_fragmented_file_is_read_from_any_place_on(tmp_path):
    image = make_fat(tmp_path / "image", 16, "-F", "16", "-s", "1")
    content = random.Random(2).randbytes(3_000_001)
    for name, data in [("a", bytes(512)), ("b", bytes(512)), ("c", bytes(512))]:
        (tmp_path / name).write_bytes(data)
        run("mcopy", "-i", image, tmp_path / name, "::")
    run("mdel", "-i", image, "::a")
    run("mdel", "-i", image, "::c")
    (tmp_path / "file").write_bytes(content)
    run("mcopy", "-i", image, tmp_path / "file", "::")
    system = opened(image)
    node = node_of(system, b"file")
    for start in (0, 511, 512, 1 << 20, 2_999_999, 3_000_001):
        pieces = list(system.chunks(node, start))
        assert all(len(data) <= 1 << 20 for _, data in pieces)
        assert all(content[offset : offset + len(data)] == data for offset, data in pieces)
        assert sum(len(data) for offset, data in pieces if offset + len(data) > start) >= len(content) - start


@pytest.mark.parametrize("bits", ["12", "16", "32"])
def test_the_label_the_uuid_and_cleanliness_are_those_that_other_tools_show(tmp_path, bits):
    image = make_fat(
        tmp_path / "image",
        40 if bits == "32" else 16 if bits == "16" else 2,
        "-F",
        bits,
        "-n",
        "A LABEL",
        "-i",
        "1234abcd",
    )
    system = opened(image)
    shown = run("blkid", "-p", "-o", "export", image).decode().splitlines()
    assert (system.name, system.uuid, system.label, system.clean) == ("vfat", "1234-ABCD", "A LABEL", True)
    assert {f"UUID={system.uuid}", "LABEL=A\\ LABEL", "TYPE=vfat"} <= set(shown)
    data = bytearray(image.read_bytes())
    data[0x41 if bits == "32" else 0x25] = 1
    assert not opened(bytes(data)).clean
    assert opened(bytes(data)).unread == []


@pytest.mark.parametrize(("bits", "mark"), [(16, 0x7FFF), (32, 0x07FFFFFF)])
def test_the_bit_that_windows_clears_in_the_table_means_not_unmounted(tmp_path, bits, mark):
    data = bytearray(make_fat(tmp_path / "image", 40, "-F", str(bits)).read_bytes())
    place = struct.unpack_from("<H", data, 14)[0] * SECTOR
    struct.pack_into("<H" if bits == 16 else "<I", data, place + bits // 8, mark)
    assert not opened(bytes(data)).clean


# What follows writes records by hand into a FAT16 file system with one sector to a cluster.


class Crafted:
    """A FAT16 file system, whose root folder, table and clusters a test writes."""

    def __init__(self, folder: Path) -> None:
        self.data = bytearray(make_fat(folder / "crafted", 8, "-F", "16", "-s", "1").read_bytes())
        system = opened(bytes(self.data))
        self.boot = system._boot
        self.count = 0

    def record(self, short: bytes, *, attributes=0x20, case=0, cluster=0, size=0, time=0, date=0x21) -> bytes:
        return struct.pack("<11sBB9xHHHI", short, attributes, case, time, date, cluster, size)

    def long(self, name: str, short: bytes, checksum: int | None = None) -> list[bytes]:
        units = name.encode("utf-16-le", "surrogatepass")
        if len(units) % 26:
            units += b"\0\0"
        units += b"\xff" * (-len(units) % 26)
        parts = [units[i : i + 26] for i in range(0, len(units), 26)]
        value = names.checksum_of(short) if checksum is None else checksum
        return [
            struct.pack("<B10sBBB12sH4s", i | 0x40 * (i == len(parts)), p[:10], 0x0F, 0, value, p[10:22], 0, p[22:])
            for i, p in reversed(list(enumerate(parts, 1)))
        ]

    def put(self, *records: bytes, place: int | None = None) -> Crafted:
        for record in records:
            start = (self.boot.root_place if place is None else place) + 32 * self.count
            self.data[start : start + 32] = record
            self.count += 1
        return self

    def link(self, cluster: int, after: int) -> Crafted:
        struct.pack_into("<H", self.data, self.boot.table + 2 * cluster, after)
        return self

    def place(self, cluster: int) -> int:
        return self.boot.data + (cluster - 2) * self.boot.cluster

    def open(self) -> fat.Fat:
        return opened(bytes(self.data))

    def names(self) -> list[bytes]:
        system = self.open()
        return [entry.name for entry in system.entries(system.node(system.root))]


@pytest.fixture
def crafted(tmp_path):
    return Crafted(tmp_path)


def node_of(system: fat.Fat, name: bytes):
    return system.node({entry.name: entry.ref for entry in system.entries(system.node(system.root))}[name])


SHORT = b"SHORT   TXT"


@pytest.mark.parametrize(
    ("case", "name"), [(0, b"SHORT.TXT"), (8, b"short.TXT"), (16, b"SHORT.txt"), (24, b"short.txt")]
)
def test_the_case_bits_of_a_short_name_count(crafted, case, name):
    assert crafted.put(crafted.record(SHORT, case=case)).names() == [name]


def test_a_short_name_is_in_the_code_page_437_and_may_begin_with_e5(crafted):
    assert crafted.put(crafted.record(b"\x05\x81B     \x90  ")).names() == ["\u03c3\u00fcB.\u00c9".encode()]


@pytest.mark.parametrize("name", ["n", "thirteen char", "x" * 255, "\N{GRINNING FACE}" * 60, "half \ud83d"])
def test_a_long_name_is_read(crafted, name):
    crafted.put(*crafted.long(name, SHORT), crafted.record(SHORT))
    assert crafted.names() == [name.encode("utf-8", "surrogatepass")]


def test_a_long_name_with_the_checksum_of_another_short_name_is_not_that_of_the_file(crafted):
    crafted.put(*crafted.long("long", SHORT, checksum=names.checksum_of(SHORT) ^ 1), crafted.record(SHORT))
    assert crafted.names() == [b"SHORT.TXT"]


def test_a_long_name_of_which_a_part_is_missing_is_left_out(crafted):
    parts = crafted.long("a name in two parts", SHORT)
    crafted.put(parts[0], crafted.record(SHORT), parts[1], crafted.record(b"SECOND     "))
    assert crafted.names() == [b"SHORT.TXT", b"SECOND"]


def test_a_file_behind_the_mark_of_the_end_is_shown_as_linux_shows_it(crafted):
    crafted.put(crafted.record(SHORT), bytes(32), crafted.record(b"HIDDEN     "))
    assert crafted.names() == [b"SHORT.TXT", b"HIDDEN"]


def test_deleted_files_and_labels_are_left_out(crafted):
    crafted.put(crafted.record(b"\xe5ONE       "), crafted.record(b"LABEL      ", attributes=8), crafted.record(SHORT))
    assert crafted.names() == [b"SHORT.TXT"]
    assert crafted.open().label == "LABEL"


@pytest.mark.parametrize("name", ["a/b", "..", "."])
def test_a_name_that_no_path_can_have_is_broken(crafted, name):
    crafted.put(*crafted.long(name, SHORT), crafted.record(SHORT))
    with pytest.raises(Broken):
        crafted.names()


def test_two_files_of_the_same_name_are_broken(crafted):
    crafted.put(crafted.record(SHORT), crafted.record(SHORT))
    with pytest.raises(Broken, match="two entries"):
        crafted.names()


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        (0x21, 0, 315532800),
        (20 << 9 | 2 << 5 | 29, 12 << 11 | 30 << 5 | 15, 951827430),
        (44 << 9 | 3 << 5 | 1, 0, 1709251200),
        (120 << 9 | 3 << 5 | 1, 0, 4107542400),
        (127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29, 4354819198),
    ],
)
def test_the_time_is_taken_as_utc(crafted, date, time, expected):
    system = crafted.put(crafted.record(SHORT, date=date, time=time)).open()
    assert node_of(system, b"SHORT.TXT").mtime_ns == expected * 10**9


def test_a_file_that_is_read_only_has_no_bit_to_write(crafted):
    system = crafted.put(crafted.record(SHORT, attributes=0x21)).open()
    node = node_of(system, b"SHORT.TXT")
    assert (node.kind, node.mode, node.uid, node.gid) == (FILE, 0o555, 0, 0)


def test_two_files_may_share_their_clusters(crafted):
    crafted.data[crafted.place(5) : crafted.place(6)] = b"s" * 512
    crafted.put(crafted.record(SHORT, cluster=5, size=512), crafted.record(b"SECOND     ", cluster=5, size=9))
    system = crafted.link(5, 0xFFFF).open()
    assert list(system.chunks(node_of(system, b"SHORT.TXT"))) == [(0, b"s" * 512)]
    assert list(system.chunks(node_of(system, b"SECOND"))) == [(0, b"s" * 9)]


@pytest.mark.parametrize(
    ("links", "why"),
    [
        ({5: 6, 6: 5}, "returns"),
        ({5: 5}, "returns"),
        ({5: 6, 6: 7, 7: 8, 8: 6}, "returns"),
        ({5: 6, 6: 0xFFFF}, "ends after 2"),
        ({5: 6, 6: 0}, "free, bad"),
        ({5: 0xFFF7}, "free, bad"),
        ({5: 0xFF00}, "free, bad"),
    ],
)
def test_a_chain_that_contradicts_itself_is_broken(crafted, links, why):
    for cluster, after in links.items():
        crafted.link(cluster, after)
    system = crafted.put(crafted.record(SHORT, cluster=5, size=512 * 100)).open()
    with pytest.raises(Broken, match=why):
        list(system.chunks(node_of(system, b"SHORT.TXT")))


def test_a_file_that_is_longer_than_the_disk_is_broken_at_once(crafted):
    system = crafted.put(crafted.record(SHORT, cluster=5, size=0xFFFFFFFF)).open()
    with pytest.raises(Broken, match="longer than the file system"):
        next(system.chunks(node_of(system, b"SHORT.TXT")))


def test_a_folder_whose_chain_is_a_loop_is_broken(crafted):
    crafted.put(crafted.record(SHORT, attributes=0x10, cluster=5)).link(5, 6).link(6, 5)
    system = crafted.open()
    with pytest.raises(Broken, match="returns"):
        list(system.entries(node_of(system, b"SHORT.TXT")))


def test_a_folder_that_contains_itself_has_one_place(crafted):
    """So a walk that visits each place once ends."""
    crafted.put(crafted.record(SHORT, attributes=0x10, cluster=5)).link(5, 0xFFFF)
    crafted.count = 0
    crafted.put(crafted.record(b"SELF       ", attributes=0x10, cluster=5), place=crafted.place(5))
    system = crafted.open()
    folder = node_of(system, b"SHORT.TXT")
    refs = set()
    for _ in range(3):
        (entry,) = system.entries(folder)
        refs.add(entry.ref)
        folder = system.node(entry.ref)
    assert len(refs) == 1


def test_a_file_system_whose_first_table_is_out_of_date_is_not_read(tmp_path):
    data = bytearray(make_fat(tmp_path / "image", 40, "-F", "32").read_bytes())
    struct.pack_into("<H", data, 0x28, 0x81)
    assert fat.probe(BytesSource(bytes(data)))
    with pytest.raises(Unsupported):
        fat.open(BytesSource(bytes(data)), Budget())


@pytest.mark.parametrize("data", [bytes(4096), b"\xff" * 4096, b"", bytes(510) + b"\x55\xaa"])
def test_what_is_not_fat_is_not_taken_for_it(data):
    assert not fat.probe(BytesSource(data))


def test_a_hostile_file_system_ends_in_a_guest_error(tmp_path):
    image = make_fat(tmp_path / "image", 2, "-F", "12")
    fill(image, small_tree(tmp_path / "tree"))
    assert mutants(image.read_bytes(), fat.open, 300, steps=300_000, most=512) > 10


@pytest.mark.parametrize("name", ["exfat", "ntfs"])
def test_exfat_and_ntfs_are_not_taken_for_fat(name):
    assert not fat.probe(BytesSource(stored(name)))
