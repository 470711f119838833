"""ISO 9660: images of genisoimage and xorriso, compared with the folder that was packed."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path

import pytest
from guest_mutants import mutants
from guest_trees import Facts, listing, make_tree, truth, without

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.filesystems import iso9660
from douane_guest.filesystems.iso9660 import rockridge
from douane_guest.guest import open_guest
from douane_guest.source import BytesSource

SECOND = 1_000_000_000
GENISOIMAGE = ("genisoimage", "-quiet", "-no-pad")
XORRISO = ("xorriso", "-as", "mkisofs", "-quiet")
OWNERS = ("mode", "uid", "gid", "mtime_ns")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("iso") / "tree"
    make_tree(root, extents=20, folder_size=300)
    (root / ("x" * 255)).rename(root / ("x" * 253))  # Linux shows no longer ones
    os.truncate(root / "hole", 100_000)
    os.truncate(root / "hole at end", 300_000)
    for name in ("link1000", "link1023"):  # genisoimage writes parts of them beyond their field
        (root / name).unlink()
    for number, target in enumerate(["/", "/etc/os-release", "../a/./b/..", ".", "double//slash", "end/"]):
        (root / f"odd link {number}").symlink_to(target)
    return root


@pytest.fixture(scope="module")
def facts(tree) -> dict[bytes, Facts]:
    """ISO 9660 keeps no parts of a second."""
    return {path: fact._replace(mtime_ns=fact.mtime_ns // SECOND * SECOND) for path, fact in truth(tree).items()}


def pack(tree: Path, image: Path, *command: str) -> bytes:
    subprocess.run([*command, "-o", image, tree], check=True, capture_output=True)
    return image.read_bytes()


def opened(data: bytes, **bounds: int) -> iso9660.Iso9660:
    assert iso9660.probe(BytesSource(data))
    return iso9660.open(BytesSource(data), Budget(**bounds))


def with_single_slashes(facts: dict[bytes, Facts]) -> dict[bytes, Facts]:
    """Rock Ridge keeps the parts of a link; some programs drop those that are empty."""
    return {
        path: fact._replace(target=re.sub(rb"//+", b"/", fact.target).rstrip(b"/") or b"/") if fact.target else fact
        for path, fact in facts.items()
    }


def test_a_name_is_as_long_as_linux_shows_it_and_a_device_has_its_numbers():
    def name(*parts: bytes) -> bytes | None:
        return rockridge.parse(iter([(b"NM", b"\1" + part) for part in parts])).name

    assert name(b"x" * 200, b"y" * 53) == b"x" * 200 + b"y" * 53
    assert name(b"x" * 200, b"y" * 54) == b"x" * 200
    assert name(b"x" * 200, b"y" * 54, b"z") == b"x" * 200
    assert rockridge.device(struct.pack("<I4xI4x", 0, 259 << 8 | 0x10002C)) == (259, 44)
    assert rockridge.device(struct.pack("<I4xI4x", 259, 300)) == (259, 300)


@pytest.mark.parametrize(
    "command",
    [
        (*GENISOIMAGE, "-R", "-input-charset", "iso8859-1", "-output-charset", "iso8859-1", "-D"),
        (*GENISOIMAGE, "-R", "-J", "-joliet-long", "-input-charset", "iso8859-1", "-D"),
        (*XORRISO, "-R"),
        (*XORRISO, "-R", "-J", "-joliet-long"),
        (*XORRISO, "-R", "-iso-level", "4", "-partition_offset", "16"),
    ],
    ids=["genisoimage", "genisoimage and Joliet", "xorriso", "xorriso and Joliet", "xorriso with a partition"],
)
def test_rock_ridge_shows_every_entry_and_digest_of_the_packed_folder(tree, facts, tmp_path, command):
    system = opened(pack(tree, tmp_path / "image", *command))
    listed = without(listing(system), drop=(b"rr_moved",))
    assert with_single_slashes(listed) == with_single_slashes(facts)


def test_files_of_the_tree_that_linux_does_not_show_are_told(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    for name in ("shown", "hidden"):
        (root / name).write_text(name)
    system = opened(pack(root, tmp_path / "image", *GENISOIMAGE, "-R", "-J", "-hide", "hidden"))
    with pytest.raises(Broken, match="two trees"):
        list(system.entries(system.node(system.root)))
    assert [entry.name for entry in system.names(system.node(system.root), b"shown")] == [b"shown"]


def test_a_descriptor_that_is_none_hides_no_other(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "A long Name").write_text("x")
    data = bytearray(pack(root, tmp_path / "image", *GENISOIMAGE, "-J"))
    data[18 * 2048 : 19 * 2048] = data[17 * 2048 : 18 * 2048]
    data[17 * 2048 : 18 * 2048] = bytes(2048)
    system = opened(bytes(data))
    assert [entry.name for entry in system.entries(system.node(system.root))] == [b"A long Name"]


def test_folders_that_were_moved_because_they_lay_too_deep_are_at_their_place(tree, facts, tmp_path):
    data = pack(tree, tmp_path / "image", *GENISOIMAGE, "-R", "-input-charset", "iso8859-1")
    deep = {path: fact for path, fact in facts.items() if path.startswith(b"level0")}
    listed = listing(opened(data))
    assert {path: fact for path, fact in listed.items() if path.startswith(b"level0")} == deep
    assert not [path for path in listed if path.startswith(b"rr_moved/")]


@pytest.mark.parametrize("command", [(*GENISOIMAGE, "-input-charset", "utf-8"), (*XORRISO, "--norock")])
def test_joliet_shows_its_names_where_there_is_no_rock_ridge(tmp_path, command):
    root = tmp_path / "tree"
    make_tree(root, names="unicode", extents=5, folder_size=100)
    os.truncate(root / "hole", 100_000)
    (root / ("x" * 255)).unlink()
    subprocess.run(["rm", "-r", root / "level0"], check=True)
    (root / "\N{GRINNING FACE}").unlink()
    data = pack(root, tmp_path / "image", *command, "-J", "-joliet-long", "-iso-level", "3")
    assert without(listing(opened(data)), *OWNERS) == without(truth(root), *OWNERS)


@pytest.mark.parametrize("level", ["1", "2", "3", "4"])
def test_plain_names_are_small_and_without_their_version(tmp_path, level):
    root = tmp_path / "tree"
    (root / "folder").mkdir(parents=True)
    (root / "file.txt").write_bytes(b"1")
    (root / "noend").write_bytes(b"2")
    (root / "folder" / "deep").write_bytes(b"3")
    data = pack(root, tmp_path / "image", *GENISOIMAGE, "-iso-level", level)
    system = opened(data)
    assert without(listing(system), *OWNERS) == without(truth(root), *OWNERS)
    assert system.node(system.root).mode == 0o555


def test_an_empty_tree_of_rock_ridge_gives_way_to_joliet(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "hidden").write_bytes(b"1")
    data = pack(root, tmp_path / "image", *GENISOIMAGE, "-R", "-J", "-hide", "hidden")
    assert set(listing(opened(data))) == {b"", b"hidden"}


def test_compressed_files_of_zisofs_are_read(tree, facts, tmp_path):
    image = tmp_path / "image"
    subprocess.run(
        ["xorriso", "-outdev", image, "-zisofs", "by_magic=off", "-map", tree, "/", "-set_filter_r", "--zisofs", "/"],
        check=True,
        capture_output=True,
    )
    data = image.read_bytes()
    assert b"ZF\x10\x01pz" in data
    listed = {path: fact.sha256 for path, fact in listing(opened(data)).items()}
    assert listed == {path: fact.sha256 for path, fact in facts.items()}


def two_sections(tmp_path: Path) -> bytes:
    """Two files become the sections of one."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "AA1").write_bytes(b"a" * 2048)
    (root / "AA2").write_bytes(b"b" * 100)
    data = bytearray(pack(root, tmp_path / "image", *GENISOIMAGE, "-iso-level", "3"))
    first, second = data.index(b"AA1.;1"), data.index(b"AA2.;1")
    data[first - 8] |= 0x80
    data[second : second + 3] = b"AA1"
    return bytes(data)


def test_a_file_of_several_sections_is_one(tmp_path):
    system = opened(two_sections(tmp_path))
    [entry] = system.entries(system.node(system.root))
    node = system.node(entry.ref)
    assert (entry.name, node.size) == (b"aa1", 2148)
    assert b"".join(piece for _, piece in system.chunks(node)) == b"a" * 2048 + b"b" * 100


def test_an_interleaved_file_is_unsupported(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"data")
    image = bytearray(pack(tmp_path / "tree", tmp_path / "image", *GENISOIMAGE, "-R"))
    system = opened(bytes(image))
    (entry,) = system.entries(system.node(system.root))
    image[entry.ref + 26 : entry.ref + 28] = b"\1\1"
    with pytest.raises(Unsupported, match="interleaved"):
        list(opened(bytes(image)).chunks(opened(bytes(image)).node(entry.ref)))


def test_a_file_without_a_last_section_is_broken(tmp_path):
    data = bytearray(two_sections(tmp_path))
    data[data.rindex(b"AA1.;1") - 8] |= 0x80
    with pytest.raises(Broken):
        listing(opened(bytes(data)))


def test_label_and_uuid_are_those_of_blkid(tree, tmp_path):
    data = pack(tree, tmp_path / "image", *XORRISO, "-R", "-V", "A_LABEL")
    system = opened(data)
    output = subprocess.run(
        ["blkid", "-p", "-o", "export", tmp_path / "image"], check=True, capture_output=True, text=True
    ).stdout
    assert f"LABEL={system.label}\n" in output
    assert f"UUID={system.uuid}\n" in output


@pytest.mark.parametrize("length", [249, 999, 1023])
def test_a_link_that_is_longer_than_a_field_is_put_together(tmp_path, length):
    root = tmp_path / "tree"
    root.mkdir()
    target = "/".join(["t" * 99] * 40)[:length]
    (root / "link").symlink_to(target)
    system = opened(pack(root, tmp_path / "image", *XORRISO, "-R"))
    [entry] = system.entries(system.node(system.root))
    assert system.target(system.node(entry.ref)) == target.encode()
    assert system.node(entry.ref).size == length


def test_a_folder_that_is_its_own_child_is_walked_once(tmp_path):
    root = tmp_path / "tree"
    (root / "FOLDER").mkdir(parents=True)
    data = bytearray(pack(root, tmp_path / "image", *GENISOIMAGE))
    record = data.index(b"\x06FOLDER") - 32
    top = data[record // 2048 * 2048 + 2 : record // 2048 * 2048 + 10]
    data[record + 2 : record + 10] = top
    guest = open_guest(BytesSource(bytes(data)))
    assert [item.path for item in guest.walk_volumes()] == ["/"]
    assert [part.code for part in guest.unread] == ["guest-broken"]


def test_a_name_that_comes_twice_is_broken(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "AA1").write_bytes(b"a")
    (root / "AA2").write_bytes(b"b")
    data = pack(root, tmp_path / "image", *GENISOIMAGE).replace(b"AA2.;1", b"AA1.;1")
    with pytest.raises(Broken, match="twice"):
        listing(opened(data))


@pytest.mark.parametrize("name", [b"..", b"a/", b"a\0"])
def test_a_name_of_rock_ridge_that_leads_elsewhere_is_broken(tmp_path, name):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "qq").write_bytes(b"a")
    data = pack(root, tmp_path / "image", *GENISOIMAGE, "-R").replace(b"NM\x07\x01\0qq", b"NM\x07\x01\0" + name)
    with pytest.raises(Broken, match="name"):
        listing(opened(data))


def test_without_a_primary_descriptor_it_is_unsupported(tmp_path):
    with pytest.raises(Unsupported):
        opened(bytes(32768) + b"\xffCD001\x01" + bytes(4096))
    assert not iso9660.probe(BytesSource(bytes(40_000)))
    assert not iso9660.probe(BytesSource(b"CD001"))


@pytest.mark.parametrize(
    "command",
    [
        (*GENISOIMAGE, "-R", "-input-charset", "iso8859-1"),
        (*XORRISO, "-R"),
        (*GENISOIMAGE, "-J", "-input-charset", "utf-8"),
    ],
)
def test_mutants_are_refused_with_the_three_exceptions_within_their_steps(tmp_path, command):
    root = tmp_path / "tree"
    make_tree(root, extents=5, folder_size=30, names="unicode" if "-J" in command else "bytes")
    for path in (*root.glob("link1*"), root / ("x" * 255), *root.glob("\N{GRINNING FACE}")):
        path.unlink()
    for name in ("hole", "large", "zeros", "text", "hole at end"):
        (root / name).write_bytes(b"abc")
    data = pack(root, tmp_path / "image", *command)
    assert mutants(data, iso9660.open, 100, steps=200_000, most=2048) > 0
