"""exFAT, on a file system that mkfs.exfat and exfat-fuse made, and on changes of it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from guest_fuzz_images import image_of
from guest_fuzz_repair import repair
from guest_mutants import mutants
from guest_stored import compact_tree, run, stored
from guest_trees import Facts, listing, truth

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.filesystems import exfat
from douane_guest.filesystems.base import FOLDER
from douane_guest.filesystems.exfat.folder import checksum_of
from douane_guest.source import BytesSource

RECORD = 32


def opened(data: bytes) -> exfat.ExFat:
    source = BytesSource(bytes(data))
    assert exfat.probe(source)
    return exfat.open(source, Budget(steps=10_000_000))


@pytest.fixture(scope="module")
def image() -> bytes:
    return stored("exfat")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    compact_tree(root)
    return root


def comparable(facts: dict[bytes, Facts]) -> dict[bytes, Facts]:
    """exFAT has no owners; its root has no time; exfat-fuse writes the even second."""
    return {
        path: fact._replace(mode=None, uid=None, gid=None, mtime_ns=fact.mtime_ns // 2_000_000_000 if path else None)
        for path, fact in facts.items()
    }


def test_every_file_is_read(image, tree):
    assert comparable(listing(opened(image))) == comparable(truth(tree))


def test_the_label_the_uuid_and_cleanliness_are_those_that_other_tools_show(image, tmp_path):
    system = opened(image)
    (tmp_path / "image").write_bytes(image)
    shown = run("blkid", "-p", "-o", "export", tmp_path / "image").decode()
    assert (system.name, system.label, system.clean, system.unread) == ("exfat", "Label ü", True, [])
    assert f"UUID={system.uuid}\n" in shown
    assert not opened(image[:106] + b"\x02\0" + image[108:]).clean


@pytest.mark.parametrize("options", [["-c", "512"], ["-c", "32768"], ["-c", "1M"], ["-s", "4096"]])
def test_an_empty_file_system_is_opened(tmp_path, options):
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    if options[0] == "-s":
        options = ["-b", "4096"]
    run("mkfs.exfat", *options, image)
    system = opened(image.read_bytes())
    assert list(listing(system)) == [b""]
    assert list(system.entries(system.node(system.root))) == []


class Changed:
    """The stored image, of which a test changes the records of a file, with checksums that are right again."""

    def __init__(self, image: bytes) -> None:
        self.data = bytearray(image)

    def ref(self, name: bytes):
        system = opened(self.data)
        return {entry.name: entry.ref for entry in system.entries(system.node(system.root))}[name]

    def change(self, name: bytes, record: int, place: int, form: str, value: int) -> Changed:
        start = self.ref(name).place
        struct.pack_into(form, self.data, start + record * RECORD + place, value)
        return self.sum(start)

    def sum(self, start: int) -> Changed:
        end = start + RECORD * (1 + self.data[start + 1])
        records = [bytes(self.data[place : place + RECORD]) for place in range(start, end, RECORD)]
        struct.pack_into("<H", self.data, start + 2, checksum_of(records))
        return self

    def node(self, name: bytes):
        return opened(self.data).node(self.ref(name))

    def read(self, name: bytes) -> list[tuple[int, bytes]]:
        return list(opened(self.data).chunks(self.node(name)))

    def link(self, cluster: int, after: int) -> Changed:
        table = opened(self.data)._boot.table
        struct.pack_into("<I", self.data, table + 4 * cluster, after)
        return self


@pytest.fixture
def changed(image):
    return Changed(image)


STREAM = 1


def test_what_was_never_written_is_a_hole(changed):
    whole = b"".join(data for _, data in changed.read(b"lines"))
    changed.change(b"lines", STREAM, 8, "<Q", 5000)
    assert changed.read(b"lines") == [(0, whole[:5000])]
    assert changed.node(b"lines").size == len(whole)
    assert changed.change(b"lines", STREAM, 8, "<Q", 0).read(b"lines") == []


@pytest.mark.parametrize("flags", [1, 3])
def test_a_file_without_a_chain_is_read_without_the_table(changed, flags):
    """In the table, the chain is a loop."""
    cluster = changed.ref(b"one").cluster
    changed.change(b"one", STREAM, 24, "<Q", 8192).change(b"one", STREAM, 8, "<Q", 8192)
    changed.change(b"one", STREAM, 1, "<B", flags).link(cluster, cluster)
    if flags == 3:
        assert b"".join(data for _, data in changed.read(b"one"))[:1] == b"1"
        assert len(b"".join(data for _, data in changed.read(b"one"))) == 8192
    else:
        with pytest.raises(Broken, match="returns"):
            changed.read(b"one")


@pytest.mark.parametrize("flags", [1, 3])
def test_a_file_beyond_the_end_of_the_disk_is_broken(changed, flags):
    changed.change(b"one", STREAM, 24, "<Q", 1 << 60).change(b"one", STREAM, 8, "<Q", 1 << 60)
    changed.change(b"one", STREAM, 1, "<B", flags)
    with pytest.raises(Broken):
        changed.read(b"one")


def test_a_folder_that_is_too_large_is_refused(changed):
    changed.change(b"folder", STREAM, 24, "<Q", 1 << 60).change(b"folder", STREAM, 8, "<Q", 1 << 60)
    system = opened(changed.data)
    with pytest.raises(Exception, match="more than exFAT allows"):
        list(system.entries(changed.node(b"folder")))


@pytest.mark.parametrize(
    ("date", "time", "hundredths", "zone", "expected"),
    [
        (40 << 9 | 2 << 5 | 29, 12 << 11 | 34 << 5 | 28, 150, 0x80, 1_582_979_697_500_000_000),
        (40 << 9 | 2 << 5 | 29, 12 << 11 | 34 << 5 | 28, 150, 0, 1_582_979_697_500_000_000),
        (40 << 9 | 2 << 5 | 29, 12 << 11 | 34 << 5 | 28, 0, 0x80 | 4, 1_582_976_096_000_000_000),
        (40 << 9 | 2 << 5 | 29, 12 << 11 | 34 << 5 | 28, 0, 0x80 | 0x7C, 1_582_983_296_000_000_000),
    ],
)
def test_the_time_has_a_zone(changed, date, time, hundredths, zone, expected):
    changed.change(b"one", 0, 14, "<H", date).change(b"one", 0, 12, "<H", time)
    changed.change(b"one", 0, 21, "<B", hundredths).change(b"one", 0, 23, "<B", zone)
    assert changed.node(b"one").mtime_ns == expected


def test_a_read_only_file_has_no_bit_to_write(changed):
    assert changed.node(b"one").mode == 0o755
    assert changed.change(b"one", 0, 4, "<H", 0x21).node(b"one").mode == 0o555


def test_a_wrong_checksum_of_records_is_broken(changed):
    changed.data[changed.ref(b"one").place + 4] ^= 1
    with pytest.raises(Broken, match="checksum of a file's records"):
        listing(opened(changed.data))


def test_a_wrong_checksum_of_the_boot_region_is_broken(changed):
    changed.data[600] ^= 1
    with pytest.raises(Broken, match="checksum of the boot region"):
        opened(changed.data)


@pytest.mark.parametrize("unit", [ord("/"), 0])
def test_a_name_that_no_path_can_have_is_broken(changed, unit):
    changed.change(b"one", 2, 2, "<H", unit)
    with pytest.raises(Broken, match="name"):
        listing(opened(changed.data))


def test_two_files_of_the_same_name_are_broken(changed):
    other = changed.ref(b"-dash").place
    start = changed.ref(b"one").place
    changed.data[other : other + 3 * RECORD] = changed.data[start : start + 3 * RECORD]
    with pytest.raises(Broken, match="two entries"):
        listing(opened(changed.data))


@pytest.mark.parametrize(("kind", "error"), [(0x86, Unsupported), (0xA5, None), (0x05, None)])
def test_a_record_of_an_unknown_type_is_skipped_only_if_it_is_benign(changed, kind, error):
    place = changed.ref(b"one").place
    changed.data[place] = kind
    if error is None:
        assert b"one" not in listing(opened(changed.data))
    else:
        with pytest.raises(error, match="critical record"):
            listing(opened(changed.data))


def test_a_folder_that_contains_itself_has_one_place(changed):
    """So a walk that visits each place once ends."""
    inner = opened(changed.data)
    (entry,) = inner.entries(inner.node(changed.ref(b"deep")))
    struct.pack_into("<I", changed.data, entry.ref.place + RECORD + 20, changed.ref(b"deep").cluster)
    changed.sum(entry.ref.place)
    system = opened(changed.data)
    node, refs = system.node(changed.ref(b"deep")), set()
    for _ in range(3):
        (entry,) = system.entries(node)
        refs.add(entry.ref)
        node = system.node(entry.ref)
        assert node.kind == FOLDER
    assert len(refs) == 1


@pytest.mark.parametrize("data", [bytes(4096), b"", b"\xeb\x76\x90EXFAT" + bytes(600)])
def test_what_is_not_exfat_is_not_taken_for_it(data):
    assert not exfat.probe(BytesSource(data))


def test_a_hostile_file_system_ends_in_a_guest_error(image):
    assert mutants(image, exfat.open, 150, steps=300_000, most=64) > 10


def test_a_folder_that_says_it_is_empty_is_read_to_the_end_of_its_clusters():
    """Linux opens its files by their paths."""
    image = image_of(stored("exfat"))
    ref, names = folder_of(image)
    image.pwrite(ref.place + 32 + 24, bytes(8))
    image.pwrite(ref.place + 32 + 8, bytes(8))
    repair(image, {ref.place})
    changed, same = folder_of(image)
    assert (ref.size > 0, changed.size) == (True, 0)
    assert len(names) == 200
    assert same == names


def folder_of(image):
    system = exfat.open(image, Budget())
    [ref] = [entry.ref for entry in system.entries(system.node(system.root)) if entry.name == b"folder"]
    return ref, [entry.name for entry in system.entries(system.node(ref))]
