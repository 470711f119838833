"""UDF: images of genisoimage and mkudffs, compared with the folder that was packed."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from guest_mutants import mutants
from guest_trees import listing, make_tree, truth, without
from udf_files import LINK, SHORT, Filler, tagged

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch
from douane_guest.filesystems import udf
from douane_guest.filesystems.udf.descriptors import Address
from douane_guest.filesystems.udf.partitions import InFile, Mapped, Physical
from douane_guest.source import BytesSource

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("udf") / "tree"
    make_tree(root, names="unicode", extents=5, folder_size=300)
    (root / ("x" * 255)).unlink()
    (root / "\N{GRINNING FACE}").unlink()
    os.truncate(root / "hole", 100_000)
    return root


def genisoimage(tree: Path, image: Path) -> bytes:
    command = ["genisoimage", "-quiet", "-udf", "-R", "-J", "-joliet-long", "-D", "-input-charset", "utf-8"]
    subprocess.run([*command, "-o", image, tree], check=True, capture_output=True)
    return image.read_bytes()


def mkudffs(image: Path, *options: str) -> bytes:
    subprocess.run(["mkudffs", "--new-file", *options, image, "10000"], check=True, capture_output=True)
    return image.read_bytes()


def opened(data: bytes, **bounds: int) -> udf.Udf:
    assert udf.probe(BytesSource(data))
    return udf.open(BytesSource(data), Budget(**bounds))


def test_every_entry_and_digest_of_a_bridge_disc_is_that_of_the_packed_folder(tree, tmp_path):
    listed = without(listing(opened(genisoimage(tree, tmp_path / "image"))), "mode", "uid", "gid")
    expected = without(truth(tree), "mode", "uid", "gid")
    del listed[b""], expected[b""]
    assert listed == {path: fact._replace(mtime_ns=fact.mtime_ns // SECOND * SECOND) for path, fact in expected.items()}


EMPTY = {
    "1.01": ["-m", "hd", "-r", "1.01"],
    "1.02": ["-m", "hd", "-r", "1.02"],
    "1.50 with VAT": ["-m", "cdr", "-r", "1.50"],
    "2.01": ["-m", "hd", "-r", "2.01"],
    "2.01 with VAT": ["-m", "cdr", "-r", "2.01"],
    "2.01 with sparing tables": ["-m", "cdrw", "-r", "2.01"],
    "2.01 with strategy 4096": ["-m", "hd", "-r", "2.01", "--strategy=4096"],
    "2.01 with blocks of 512": ["-m", "hd", "-r", "2.01", "-b", "512"],
    "2.01 with blocks of 4096": ["-m", "hd", "-r", "2.01", "-b", "4096"],
    "2.01 with long addresses": ["-m", "hd", "-r", "2.01", "--ad=long"],
    "2.60 with VAT": ["-m", "bdr", "-r", "2.60"],
}


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_image_has_its_root_its_label_and_its_uuid(tmp_path, kind):
    system = opened(mkudffs(tmp_path / "image", *EMPTY[kind], "-l", "Label"))
    assert {path for path in listing(system) if path != b"lost+found"} == {b""}
    command = ["blkid", "-p", "-o", "export", tmp_path / "image"]
    output = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    assert f"LABEL={system.label}\n" in output
    assert f"UUID={system.uuid}\n" in output
    assert system.clean
    assert not system.unread


@pytest.mark.parametrize("kind", [kind for kind in EMPTY if "VAT" not in kind])
def test_files_inside_their_entries_and_in_extents_are_read(tmp_path, kind):
    filler = Filler(mkudffs(tmp_path / "image", *EMPTY[kind]))
    size = filler.block_size
    filler.add(b"\x08inside", b"some bytes")
    filler.add(b"\x10" + "世界".encode("utf-16-be"), b"1")
    for number in range(3):
        filler.put(700 + 2 * number, bytes([number]) * size)
    short = struct.pack("<IIIIII", size, 700, 1 << 30 | size, 800, 2 << 30 | size, 0)
    more = struct.pack("<II", size, 702) + struct.pack("<II", 100, 704)
    filler.put(710, tagged(258, 2, 710, struct.pack("<II", 0, len(more)) + more))
    filler.add(
        b"\x08holes", b"", ad=SHORT, addresses=short + struct.pack("<II", 3 << 30 | size, 710), size=4 * size + 100
    )
    filler.add(b"\x08link", b"\2\0\0\0\5\4\0\0\x08etc\3\0\0\0\4\0\0\0", type=LINK)
    system = opened(filler.image())
    nodes = {entry.name: system.node(entry.ref) for entry in system.entries(system.node(system.root))}
    assert set(nodes) == {b"inside", "世界".encode(), b"holes", b"link"}
    assert list(system.chunks(nodes[b"inside"])) == [(0, b"some bytes")]
    assert list(system.chunks(nodes[b"holes"])) == [
        (0, bytes(size)),
        (3 * size, b"\1" * size),
        (4 * size, b"\2" * 100),
    ]
    assert system.target(nodes[b"link"]) == b"/etc/../."
    node = nodes[b"inside"]
    assert (node.mode, node.uid, node.gid, node.size) == (0o4754, 7, 8, 10)
    assert node.mtime_ns == 1_700_000_000_123_456_000


def test_extents_that_end_before_the_file_are_broken(tmp_path):
    filler = Filler(mkudffs(tmp_path / "image", *EMPTY["2.01"]))
    filler.add(b"\x08short", b"", ad=SHORT, addresses=struct.pack("<II", 512, 700), size=1 << 60)
    system = opened(filler.image())
    [entry] = system.entries(system.node(system.root))
    with pytest.raises(Broken, match="end before"):
        list(system.chunks(system.node(entry.ref)))


def test_extents_that_lead_back_to_themselves_are_bounded(tmp_path):
    filler = Filler(mkudffs(tmp_path / "image", *EMPTY["2.01"]))
    back = struct.pack("<II", 3 << 30 | 512, 710)
    filler.put(710, tagged(258, 2, 710, struct.pack("<II", 0, len(back)) + back))
    filler.add(b"\x08loop", b"", ad=SHORT, addresses=back, size=1 << 40)
    system = opened(filler.image(), steps=10_000)
    [entry] = system.entries(system.node(system.root))
    with pytest.raises(TooMuch):
        list(system.chunks(system.node(entry.ref)))


@pytest.mark.parametrize("name", [b"\x08..", b"\x08a/b", b"\x08a\0b", b"\x08twice", b"\x07a"])
def test_a_name_that_leads_elsewhere_or_comes_twice_is_broken(tmp_path, name):
    filler = Filler(mkudffs(tmp_path / "image", *EMPTY["2.01"]))
    filler.add(b"\x08twice", b"1")
    filler.add(name, b"2")
    with pytest.raises(Broken):
        listing(opened(filler.image()))


def test_a_volume_that_was_not_unmounted_is_told(tmp_path):
    data = bytearray(mkudffs(tmp_path / "image", *EMPTY["2.01"]))
    place = next(at for at in range(0, len(data), 512) if data[at : at + 2] == b"\x09\0" and data[at + 28] == 1)
    body = bytearray(data[place + 16 : place + 16 + struct.unpack_from("<H", data, place + 10)[0]])
    body[12] = 0
    location = struct.unpack_from("<I", data, place + 12)[0]
    changed = tagged(9, struct.unpack_from("<H", data, place + 2)[0], location, bytes(body))
    data[place : place + len(changed)] = changed
    system = opened(bytes(data))
    assert not system.clean
    assert [part.code for part in system.unread] == ["guest-unclean"]


def test_blocks_are_where_the_map_of_their_partition_says():
    base = Physical(100, 50, 512)
    assert list(base.pieces(3, 1000)) == [(103 * 512, 1000)]
    with pytest.raises(Broken):
        list(base.pieces(49, 513))
    base.packet, base.spared = 4, {104: 900}
    assert list(Mapped((7, 2), Physical(100, 50, 512), 512).pieces(0, 600)) == [(107 * 512, 512), (102 * 512, 88)]
    within = InFile([(0, Address(0, 1024, 5, 0)), (1024, Address(0, 512, 20, 0))], Physical(100, 50, 512), 512)
    assert list(within.pieces(1, 1024)) == [(106 * 512, 512), (120 * 512, 512)]
    with pytest.raises(Broken):
        list(within.pieces(3, 1))


def test_it_is_not_recognized_in_other_bytes():
    assert not udf.probe(BytesSource(bytes(100_000)))
    assert not udf.probe(BytesSource(b"NSR02"))
    with pytest.raises(Broken, match="anchor"):
        udf.open(BytesSource(bytes(2_000_000)), Budget())


def test_mutants_are_refused_with_the_three_exceptions_within_their_steps(tree, tmp_path):
    filler = Filler(mkudffs(tmp_path / "image", *EMPTY["2.01"]))
    for number in range(5):
        filler.add(b"\x08name%d" % number, b"bytes")
    assert mutants(filler.image(), udf.open, 150, steps=200_000) > 20
    assert mutants(genisoimage(tree, tmp_path / "disc"), udf.open, 30, steps=200_000, most=2048) > 0


def test_anchors_for_two_sizes_of_blocks_are_a_contradiction(tmp_path):
    data = bytearray(mkudffs(tmp_path / "image", *EMPTY["2.01"]))
    other = 2048 if data[256 * 512 : 256 * 512 + 2] == b"\x02\0" else 512
    place = 256 * other
    data[place : place + 512] = tagged(2, 2, 256, bytes(496))
    with pytest.raises(Broken, match="anchors"):
        opened(bytes(data))


def test_a_name_for_the_folder_above_is_told(tmp_path):
    filler = Filler(mkudffs(tmp_path / "image", *EMPTY["2.01"]))
    filler.add(b"\x08hidden", b"bytes")
    name = bytearray(filler.names[0])
    name[18] = 8
    filler.names[0] = tagged(257, 2, filler.root[1], bytes(name[16:]))
    system = opened(filler.image())
    with pytest.raises(Broken, match="hidden"):
        list(system.entries(system.node(system.root)))
