"""A guest on a disk: volumes, roots, paths, and the list of what is unread; on ext4 that mkfs makes, and in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from memory_filesystem import MemorySystem, folder, link, text

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch
from douane_guest.filesystems.base import Node
from douane_guest.filesystems.folding import Key
from douane_guest.filesystems.unread import SIGNATURES
from douane_guest.guest import Guest, open_guest
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume

MIB = 1 << 20


def guest_of(*systems: MemorySystem, budget: Budget | None = None) -> Guest:
    """A guest whose volumes are in memory."""
    budget = budget or Budget()
    unread = UnreadParts()
    volumes = [
        Volume(f"p{number}", BytesSource(b""), system, budget, unread) for number, system in enumerate(systems, 1)
    ]
    return Guest(None, volumes, budget, unread)


def codes(guest: Guest) -> list[str]:
    return [part.code for part in guest.unread]


class FoldingSystem(MemorySystem):
    """It ignores case."""

    def key(self, node: Node) -> Key:
        return bytes.lower


SYSTEM = {
    "etc": folder({"os-release": link("../usr/lib/os-release"), "fstab": text("UUID=b /boot ext4 defaults\n")}),
    "usr": folder({"lib": folder({"os-release": text('ID=example\nNAME="An \\"example\\""\n')}), "bin": folder({})}),
    "bin": link("usr/bin"),
    "boot": folder({"hidden": text("below the mount")}),
    "absolute": link("/etc/../usr/lib"),
    "above": link("../../../../etc"),
    "circle": link("/circle"),
}


def test_paths_are_resolved_inside_of_the_guest() -> None:
    guest = guest_of(MemorySystem(SYSTEM, uuid="a"), MemorySystem({"kernel": text("k")}, uuid="b"))
    assert guest.os == {"ID": "example", "NAME": 'An "example"'}
    assert guest.list("above") == ["os-release", "fstab"]
    assert guest.stat("absolute/os-release").path == "/usr/lib/os-release"
    assert guest.stat("/../../bin/..").path == "/usr"
    assert guest.stat("bin", follow=False).link == "usr/bin"
    assert guest.read("boot/kernel") == b"k"
    assert guest.root.mounts == {"/": "p1", "/boot": "p2"}
    with pytest.raises(OSError, match="symbolic links"):
        guest.stat("circle")
    with pytest.raises(FileNotFoundError):
        guest.stat("etc/nothing")
    with pytest.raises(NotADirectoryError):
        guest.stat("etc/fstab/x")
    with pytest.raises(IsADirectoryError):
        guest.open("etc")
    assert not codes(guest)


def test_a_walk_goes_through_what_is_mounted_and_a_walk_of_volumes_below_it() -> None:
    guest = guest_of(MemorySystem(SYSTEM, uuid="a"), MemorySystem({"kernel": text("k")}, uuid="b"))
    paths = [item.path for item in guest.walk()]
    assert "/boot/kernel" in paths
    assert "/boot/hidden" not in paths
    assert len(paths) == len(set(paths))
    assert ("p1", "/boot/hidden") in {(item.volume.name, item.path) for item in guest.walk_volumes()}


def test_glob_follows_links_on_its_way() -> None:
    guest = guest_of(MemorySystem(SYSTEM, uuid="a"))
    assert [item.path for item in guest.glob("etc/os-*")] == ["/etc/os-release"]
    assert [item.path for item in guest.glob("absolute/*")] == ["/usr/lib/os-release"]
    assert [item.path for item in guest.glob("**/os-release")] == ["/etc/os-release", "/usr/lib/os-release"]


def test_a_folder_in_itself_is_visited_once_and_is_unread() -> None:
    loop = folder({})
    loop.children.append((b"again", loop))
    guest = guest_of(MemorySystem({"etc": folder({"passwd": text("")}), "loop": loop}))
    assert [item.path for item in guest.walk()] == ["/", "/etc", "/loop", "/etc/passwd"]
    assert codes(guest) == ["guest-broken"]


def test_a_name_that_is_twice_in_a_folder_is_unread_and_no_path() -> None:
    twice = folder({"x": text("first")})
    twice.children.append((b"x", text("second")))
    guest = guest_of(MemorySystem({"etc": folder({"passwd": text("")}), "twice": twice}))
    assert [item.path for item in guest.walk("twice")] == ["/twice", "/twice/x"]
    assert codes(guest) == ["guest-broken"]
    with pytest.raises(Broken, match="twice"):
        guest.read("twice/x")


def test_case_is_folded_where_the_guest_folds_it() -> None:
    fat = FoldingSystem({"ETC": folder({"Passwd": text("p")}), "a": text(""), "A": text("")})
    guest = guest_of(fat)
    assert guest.read("etc/passwd") == b"p"
    list(guest.walk())
    assert codes(guest) == ["guest-broken"], "two names that are the same for this guest"


def test_a_file_of_an_exbibyte_is_bounded() -> None:
    huge = text("")
    huge.size = 1 << 60
    guest = guest_of(MemorySystem({"etc": folder({"passwd": text("")}), "huge": huge}))
    with pytest.raises(TooMuch):
        guest.read("huge")
    with pytest.raises(TooMuch):
        guest.open("huge").sha256()
    assert guest.open("huge").pread((1 << 60) - 5, 5) == bytes(5)


def test_folders_deeper_than_the_bound_are_unread() -> None:
    deep = folder({})
    for _ in range(200):
        deep = folder({"d": deep})
    guest = guest_of(MemorySystem({"etc": folder({"passwd": text("")}), "d": deep}))
    assert len(list(guest.walk("d"))) < 140
    assert codes(guest) == ["guest-too-much"]


class Subvolume(NamedTuple):
    path: bytes
    ref: object


class WithSubvolumes(MemorySystem):
    """As btrfs: what is mounted by default lies below the top level."""

    def __init__(self, children: dict, default: str) -> None:
        super().__init__(children, name="btrfs", uuid="x")
        self.top = self.root
        self.default = default.encode()
        self.root = dict(self.top.children)[self.default]

    def subvolumes(self):
        return iter([Subvolume(b"", self.top), Subvolume(self.default, self.root)])


def test_subvolumes_beside_the_default_are_mounted_and_none_is_left_out() -> None:
    fstab = text("UUID=x / btrfs defaults\nUUID=x /home btrfs subvol=/@home\n")
    root = folder({"etc": folder({"fstab": fstab}), "home": folder({})})
    guest = guest_of(WithSubvolumes({"@": root, "@home": folder({"me": text("m")}), "old": text("o")}, "@"))
    assert guest.read("home/me") == b"m"
    assert {item.path for item in guest.walk()} == {"/", "/etc", "/etc/fstab", "/home", "/home/me"}
    assert {item.path for item in guest.walk_volumes()} >= {"/@/etc/fstab", "/@home/me", "/old"}
    assert not codes(guest)


def test_a_system_that_is_mounted_from_several_volumes_of_the_same_uuid_is_told() -> None:
    boot = MemorySystem({"kernel": text("k")}, uuid="b")
    guest = guest_of(MemorySystem(SYSTEM, uuid="a"), boot, boot)
    assert codes(guest) == ["guest-broken"]


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: f"{signature.name}-{signature.offsets[0]}")
def test_a_device_that_is_known_and_not_read_is_told_by_its_name(signature) -> None:
    disk = bytearray(4 * MIB)
    place = signature.offsets[0] % len(disk)
    disk[place : place + len(signature.magic)] = signature.magic
    if signature.name == "swap":
        disk[1024] = 1  # the version
    guest = open_guest(BytesSource(bytes(disk)))
    parts = [(part.where, part.code) for part in guest.unread]
    assert parts == ([] if signature.name == "swap" else [("disk", signature.code)])


@pytest.mark.parametrize("place", [0, 510, 1024, 1040])
def test_the_letters_of_swap_in_a_file_hide_no_file_system(place: int) -> None:
    """What Linux mounts, and is not known here: minix, affs, bfs, hfs ..."""
    disk = bytearray(MIB)
    disk[65526:65536] = b"SWAPSPACE2"
    disk[place : place + 2] = b"\x7f\x13"
    assert [part.code for part in open_guest(BytesSource(bytes(disk))).unread] == ["guest-unknown"]


TO_GO = b"\xeb\x58\x90MSWIN4.1".ljust(424, b"\0") + bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")


@pytest.mark.parametrize(
    "head",
    [
        *(b"LUKS\xba\xbe\0\1", b"LUKS\xba\xbe\0\2", bytes(16384) + b"SKUL\xba\xbe\0\2"),
        *(b"\xeb\x58\x90-FVE-FS-", TO_GO),
    ],
    ids=["LUKS1", "LUKS2", "LUKS2, second header", "BitLocker", "BitLocker To Go"],
)
def test_an_encrypted_device_is_told(head: bytes) -> None:
    assert codes(open_guest(BytesSource(head.ljust(MIB, b"\0")))) == ["guest-encrypted"]


def test_zfs_is_told_by_its_uberblocks() -> None:
    """At least four in a label, as libblkid asks: fewer may be the bytes of any file."""
    disk = bytearray(4 * MIB)
    for slot in range(4):
        disk[(128 << 10) + slot * 4096 : (128 << 10) + slot * 4096 + 8] = b"\x0c\xb1\xba\0\0\0\0\0"
        parts = [part.why for part in open_guest(BytesSource(bytes(disk))).unread]
        assert any("zfs" in why for why in parts) == (slot == 3)


def test_an_empty_disk_has_nothing_unread_and_noise_has() -> None:
    assert not codes(open_guest(BytesSource(bytes(3 * MIB))))
    assert codes(open_guest(BytesSource(bytes(2 * MIB) + b"noise" + bytes(MIB)))) == ["guest-unknown"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An ext4 with a system, made by mkfs."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "etc/os-release").write_text("ID=example\n")
    (root / "var/lib/dpkg/status").write_text(
        "Package: a\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: all\n"
    )
    (root / "new\nline").write_text("x")
    (root / os.fsdecode(b"not utf-8 \xff")).symlink_to("etc")
    path = tmp_path / "disk.img"
    path.touch()
    os.truncate(path, 16 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-d", root, path], check=True)
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "douane_guest", *map(str, arguments)], capture_output=True, check=False
    )


def test_ls_prints_an_object_a_line_for_each_entry(image: Path) -> None:
    process = run(image, "ls", "--recursive", "--digest", "--json")
    assert process.returncode == 0, process.stderr
    entries = {entry["path"]: entry for entry in map(json.loads, process.stdout.splitlines())}
    assert set(entries) >= {"/", "/etc/os-release", "/new\nline", "/not utf-8 \udcff"}
    assert entries["/not utf-8 \udcff"]["link"] == "etc"
    assert entries["/new\nline"]["kind"] == "file"
    assert entries["/new\nline"]["sha256"].startswith("2d711642")
    assert set(entries["/etc"]) == {"volume", "path", "kind", "mode", "uid", "gid", "size", "mtime_ns"}


def test_cat_os_and_packages(image: Path) -> None:
    assert run(image, "cat", "/etc/os-release").stdout == b"ID=example\n"
    assert run(image, "os").stdout == b'ID="example"\n'
    assert run(image, "packages").stdout == b"deb a 1:2-3 all\n"
    assert run(image, "cat", "nothing").returncode == 1


def test_a_path_that_is_not_there_may_be_in_what_could_not_be_read(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"LUKS\xba\xbe\0\2".ljust(MIB, b"\0"))
    for command in ("ls", "cat"):
        process = run(disk, command, "/etc/shadow")
        assert process.returncode == 3
        assert b"encrypted" in process.stderr


def test_ls_ends_with_three_and_says_why_if_anything_is_unread(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"LUKS\xba\xbe\0\2".ljust(MIB, b"\0"))
    process = run(disk, "ls", "--recursive", "--digest", "--json")
    assert process.returncode == 3
    assert json.loads(process.stdout) == {
        "unread": "disk",
        "code": "guest-encrypted",
        "why": "the device is encrypted: LUKS2",
    }


def test_a_second_superblock_makes_a_device_ambiguous(image: Path) -> None:
    with image.open("r+b") as file:
        os.pwrite(file.fileno(), b"LUKS\xba\xbe\0\2", 0)
    guest = open_guest(BytesSource(image.read_bytes()))
    assert not guest.volumes
    assert [(part.where, part.code) for part in guest.unread] == [("disk", "guest-broken")]
