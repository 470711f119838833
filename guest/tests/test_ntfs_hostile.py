"""NTFS volumes that are damaged, unclean or hostile, and those of which a part cannot be read."""

from __future__ import annotations

import itertools
import struct

import pytest
from guest_mutants import mutants
from guest_ntfs import DATA, REPARSE, VOLUME_INFORMATION, Volume, copy, make, named, opened, read, refs
from guest_stored import stored

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.filesystems import ntfs
from douane_guest.filesystems.ntfs import index
from douane_guest.filesystems.ntfs.stream import runs_of
from douane_guest.source import BytesSource


@pytest.fixture(scope="module")
def image() -> bytes:
    return stored("ntfs")


@pytest.fixture
def volume(image):
    return Volume(image)


def test_an_encrypted_file_is_told(volume):
    system = volume.write(volume.attribute(b"lines", DATA) + 12, "<H", 0x4000).open()
    with pytest.raises(Unsupported) as refusal:
        read(system, b"lines")
    assert refusal.value.code == "guest-encrypted"
    assert read(system, b"one") == b"1"


@pytest.mark.parametrize("tag", [0x80000013, 0x80000018, 0x9000001A, 0x80000021])
def test_a_file_whose_bytes_are_elsewhere_is_told(volume, tag):
    place = volume.attribute(b"wof", REPARSE)
    system = volume.write(place + 24, "<I", tag).open()
    with pytest.raises(Unsupported) as refusal:
        read(system, b"wof")
    assert refusal.value.code == "guest-unknown"


@pytest.mark.parametrize("flags", [0x1, 0x4000, 0x8001])
def test_a_volume_that_is_marked_as_dirty_is_told(volume, flags):
    place = volume.attribute(3, VOLUME_INFORMATION)
    system = volume.write(place + 24 + 10, "<H", flags).open()
    assert not system.clean
    assert [(part.where, part.code) for part in system.unread] == [("$Volume", "guest-unclean")]


@pytest.mark.parametrize("damage", ["torn", "no area"])
def test_a_log_whose_restart_page_was_being_written_is_told(volume, damage):
    system = volume.open()
    start = system.place(system.node(ntfs.filesystem.Ref(2, 2, "")))
    for place in (start, start + 4096):
        volume.data[place : place + 4096] = bytes(4096)
        volume.write(place, "<4sHHQIIH", b"RSTR", 30, 9, 0, 4096, 4096, 48)
        volume.write(place + 48, "<QHHHH", 7, 1, 0xFFFF, 0, 2)
    assert volume.open().clean
    volume.write(start + 4096 + (1022 if damage == "torn" else 24), "<H", 4094)
    assert [(part.where, part.code) for part in volume.open().unread] == [("$LogFile", "guest-unclean")]


def test_a_volume_that_does_not_say_whether_it_is_dirty_is_told(volume):
    place = volume.attribute(3, VOLUME_INFORMATION)
    system = volume.write(place + 16, "<I", 8).open()  # the length of the value
    assert [(part.where, part.code) for part in system.unread] == [("$Volume", "guest-unclean")]


@pytest.mark.parametrize(
    ("magic", "clients", "flags", "clean"),
    [
        (b"RSTR", 0xFFFF, 0, True),
        (b"RSTR", 0, 2, True),
        (b"RSTR", 0, 0, False),
        (b"RCRD", 0xFFFF, 0, False),
        (b"\0\0\0\0", 0xFFFF, 0, False),
    ],
)
def test_a_log_with_changes_is_told(volume, magic, clients, flags, clean):
    system = volume.open()
    start = system.place(system.node(ntfs.filesystem.Ref(2, 2, "")))
    for place, number in ((start, 7), (start + 4096, 6)):
        volume.data[place : place + 4096] = bytes(4096)
        volume.write(place, "<4sHHQIIH", magic, 30, 9, 0, 4096, 4096, 48)
        newest = number == 7
        volume.write(place + 48, "<QHHHH", number, 1, 0xFFFF, clients if newest else 0, flags if newest else 0)
    system = volume.open()
    assert system.clean is clean
    assert [part.code for part in system.unread] == ([] if clean else ["guest-unclean"])


@pytest.mark.parametrize(
    ("content", "clean"),
    [
        *((magic + bytes(5000), False) for magic in (b"hibr", b"HIBR", b"RSTR", b"HORM")),
        *((b"wake" + bytes(5000), True), (bytes(5000), True), (b"", True)),
    ],
)
def test_a_windows_that_hibernates_is_told(tmp_path, content, clean):
    image = make(tmp_path)
    copy(image, "hiberfil.sys", content)
    system = opened(image.read_bytes())
    assert system.clean is clean
    assert [part.where for part in system.unread] == ([] if clean else ["hiberfil.sys"])


def test_a_torn_record_is_broken(volume):
    number = refs(volume.open())[b"lines"].number
    volume.data[volume.record(number) + 510] ^= 1
    with pytest.raises(Broken, match="torn"):
        named(volume.open(), b"lines")


def test_a_name_whose_file_was_deleted_is_broken(volume):
    number = refs(volume.open())[b"lines"].number
    place = volume.record(number)
    volume.write(place + 16, "<H", 999)
    with pytest.raises(Broken, match="not the file"):
        named(volume.open(), b"lines")
    volume.write(place + 22, "<H", 0)
    with pytest.raises(Broken, match="not in use"):
        named(volume.open(), b"lines")


def test_a_node_of_a_folder_with_two_parents_is_broken(volume):
    system = volume.open()
    parts = named(system, b"folder").detail.file.parts(0xA0, "$I30")
    (run_,) = runs_of(system._disk, parts)
    block = (run_.cluster + 32) * 512
    assert volume.data[block + 16] == 32, "the node below the root, whose own children are leaves"
    first = block + 24 + struct.unpack_from("<I", volume.data, block + 24)[0]
    second = first + struct.unpack_from("<H", volume.data, first + 8)[0]
    third = second + struct.unpack_from("<H", volume.data, second + 8)[0]
    assert third < block + 510
    volume.data[third - 8 : third] = volume.data[second - 8 : second]
    system = volume.open()
    with pytest.raises(Broken, match="two parents"):
        list(system.entries(named(system, b"folder")))


def test_a_node_of_a_folder_that_is_marked_as_free_is_broken(volume):
    place = volume.attribute(b"folder", 0xB0)
    volume.data[place + struct.unpack_from("<H", volume.data, place + 20)[0]] = 0
    system = volume.open()
    with pytest.raises(Broken, match="is free"):
        list(system.entries(named(system, b"folder")))


@pytest.mark.parametrize("size", [1 << 40, 1 << 62])
def test_a_file_that_has_fewer_clusters_than_bytes_is_broken(volume, size):
    place = volume.attribute(b"lines", DATA)
    system = volume.write(place + 48, "<Q", size).open()
    with pytest.raises(Broken, match="too few"):
        list(system.chunks(named(system, b"lines")))


def test_what_was_never_written_is_a_hole(volume):
    content = read(volume.open(), b"lines")
    system = volume.write(volume.attribute(b"lines", DATA) + 56, "<Q", 5000).open()
    assert list(system.chunks(named(system, b"lines"))) == [(0, content[:5000])]


def test_a_stream_and_a_file_of_the_same_name_are_broken(volume):
    system = volume.open()
    shown = [entry for entry in system.entries(system.node(system.root)) if entry.name.startswith(b"one")]
    original = system._names
    system._names = lambda node, **how: (entry for entry in [*original(node, **how), shown[-1]])
    with pytest.raises(Broken, match="both with the name"):
        list(system.entries(system.node(system.root)))


def test_the_steps_are_bounded(volume):
    with pytest.raises(TooMuch):
        refs(opened(volume.data, steps=50))


@pytest.mark.parametrize("data", [bytes(4096), b"", b"\xeb\x52\x90NTFS" + bytes(600)])
def test_what_is_not_ntfs_is_not_taken_for_it(data):
    assert not ntfs.probe(BytesSource(data))


@pytest.mark.parametrize(("which", "count"), [("ntfs", 150), ("ntfs-compressed", 50)])
def test_a_hostile_volume_ends_in_a_guest_error(which, count):
    def forgiving(source, budget):
        system = ntfs.open(source, budget)
        chunks = system.chunks

        def all_but_the_overlay(node, start=0):
            try:
                yield from itertools.islice(chunks(node, start), 3)  # so most of what is read is structures
            except Unsupported:
                return

        system.chunks = all_but_the_overlay
        return system

    assert mutants(stored(which), forgiving, count, steps=100_000) > 5


@pytest.mark.parametrize(("number", "name"), [(12, "hidden"), (0, "hidden"), (0, "$MFT")])
def test_a_file_in_a_record_of_the_volume_is_told(monkeypatch, number, name):
    """Windows and Linux open it by its path, and do not list it."""
    system = ntfs.open(BytesSource(stored("ntfs")), Budget())
    stranger = index.Name(number, 1, name.encode("utf-16-le"), for_dos=False)
    listed = index.names
    monkeypatch.setattr(index, "names", lambda *arguments: itertools.chain(listed(*arguments), [stranger]))
    with pytest.raises(Broken, match="the volume's own"):  # "$MFT" is not in the folder of further files
        list(system.entries(system.node(system.root)))
    assert any(entry.name == b"one" for entry in system.names(system.node(system.root), b"one"))
