"""FAT whose records a test writes: names, times, chains, and what contradicts itself."""

from __future__ import annotations

import pytest
from guest_fat import Crafted, node_of

from douane_guest.errors import Broken
from douane_guest.filesystems.base import FILE
from douane_guest.filesystems.fat import names


@pytest.fixture
def crafted(tmp_path):
    return Crafted(tmp_path)


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
