"""Small images that would be large, long or endless: each ends at a bound, in little memory, and is told."""

from __future__ import annotations

import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from guest_fuzz_images import image_of, makers
from guest_packages import SQLITE
from memory_filesystem import MemorySystem, folder, link, text

from douane_guest import budget as budget_module
from douane_guest import compression, discovery
from douane_guest.budget import AttributeRoom, Budget
from douane_guest.compression import inflate, library, unxz, unzstd
from douane_guest.containers.packed import unpack_zlib, unpack_zstd
from douane_guest.discovery import Device, Discovery
from douane_guest.errors import Broken, GuestError, TooMuch
from douane_guest.filesystems import squashfs
from douane_guest.filesystems.ext import attributes
from douane_guest.filesystems.ext.blocks import Blocks
from douane_guest.filesystems.ext.mapping import extent_runs
from douane_guest.filesystems.ntfs import lznt1
from douane_guest.filesystems.squashfs.folder import folder_entries
from douane_guest.guest import open_guest
from douane_guest.headers.gpt import SIGNATURE
from douane_guest.lz4block import decompress as unlz4
from douane_guest.packages import sqlite
from douane_guest.roots import tree_of
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume

MIB = 1 << 20
ZEROS = bytes(64 * MIB)
LIMIT = 64 << 10


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-12)
    return packer.compress(data) + packer.flush()


def zstd_frame(data: bytes) -> bytes:
    return bytes(library("compression.zstd", "backports.zstd").compress(data))


PACKED: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "zlib": (zlib.compress, lambda data: inflate(data, LIMIT)),
    "xz": (lambda data: lzma.compress(data, preset=1), lambda data: unxz(data, LIMIT)),
    "zstd": (zstd_frame, lambda data: unzstd(data, LIMIT)),
    "lz4": (lambda data: b"\x1f\0\1\0" + b"\xff" * 250_000 + b"\0\0", lambda data: unlz4(data, LIMIT)),
    "lznt1": (lambda data: b"\x02\xb0\x02\0\xff\x0f" * 9000, lambda data: lznt1.decompress(data, LIMIT)),
    "qcow2 and VMDK, zlib": (raw_deflate, lambda data: unpack_zlib(data, LIMIT, window_bits=-12)),
    "qcow2, zstd": (zstd_frame, lambda data: unpack_zstd(data, LIMIT)),
}


@pytest.mark.parametrize("kind", PACKED)
def test_compressed_zeros_have_never_more_bytes_than_their_place(kind: str) -> None:
    pack, unpack = PACKED[kind]
    packed = pack(ZEROS)
    tracemalloc.start()
    try:
        size = len(unpack(packed))
    except GuestError:
        size = 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size <= LIMIT
    assert peak < 2 * MIB


def test_a_cluster_of_many_frames_of_zstd_is_broken() -> None:
    for part in (b"", b"x"):
        with pytest.raises(Broken, match="frames"):
            unpack_zstd(zstd_frame(part) * 70, LIMIT)


def test_what_an_image_delivers_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "DELIVERED", 50_000)
    monkeypatch.setattr(budget_module, "DELIVERED_TIMES", 0)
    guest = open_guest(makers()["ext2"]())
    with pytest.raises(TooMuch):
        guest.open("data/lines").sha256()


def test_attributes_whose_values_are_shared_are_bounded() -> None:
    count = 700
    names = b"".join(struct.pack("<BBHIII", 4, 1, 60_000, 0, 5000, 0) + b"%04d" % number for number in range(count))
    block = struct.pack("<III", attributes.MAGIC, 1, 1).ljust(32, b"\0") + names
    with pytest.raises(TooMuch):
        attributes.in_block(block.ljust(65536, b"\0"))
    with pytest.raises(TooMuch):
        AttributeRoom(10).take(11)


def test_a_folder_of_squashfs_is_read_in_pieces() -> None:
    names = [b"%0200d" % number for number in range(256 * 40)]
    runs = b""
    for start in range(0, len(names), 256):
        part = names[start : start + 256]
        runs += struct.pack("<III", len(part) - 1, start, 0)
        runs += b"".join(struct.pack("<HhHH", 7, 0, 1, len(name) - 1) + name for name in part)
    for size in (100, 8192, 65536):
        pieces = (runs[at : at + size] for at in range(0, len(runs), size))
        assert [name for _, _, name in folder_entries(pieces)] == names
    with pytest.raises(Broken, match="lacks"):
        list(folder_entries(iter([struct.pack("<III", 3, 0, 0)])))


def test_a_table_of_squashfs_with_four_billion_records_costs_nothing() -> None:
    data = bytearray(makers()["squashfs-gzip"]().bytes())
    data[16:20] = b"\xff\xff\xff\xff"  # fragments
    system = squashfs.open(BytesSource(bytes(data)), Budget())
    assert [entry.name for entry in system.entries(system.node(system.root))]


def test_a_tree_of_extents_that_is_too_deep_or_contains_itself_is_broken() -> None:
    deep = struct.pack("<HHHHI", 0xF30A, 1, 4, 6, 0) + struct.pack("<IIHH", 0, 1, 0, 0) + bytes(36)
    with pytest.raises(Broken, match="depth 6"):
        list(extent_runs(Blocks(BytesSource(bytes(8192)), 1024, 8), Budget(), deep, 0, 10))
    itself = struct.pack("<HHHHI", 0xF30A, 1, 84, 2, 0) + struct.pack("<IIHH", 0, 1, 0, 0)
    disk = bytes(1024) + itself.ljust(1024, b"\0") + bytes(6144)
    root = struct.pack("<HHHHI", 0xF30A, 1, 4, 3, 0) + struct.pack("<IIHH", 0, 1, 0, 0) + bytes(36)
    with pytest.raises(Broken, match="depth 2"):
        list(extent_runs(Blocks(BytesSource(disk), 1024, 8), Budget(), root, 0, 10))


def test_a_gpt_with_four_billion_entries_is_told() -> None:
    disk = bytearray(2 * MIB)
    fields = SIGNATURE, 0x10000, 92, 0, 0, 1, 4095, 34, 4000, bytes(16), 2, 0xFFFFFFFF, 128, 0
    header = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", *fields))
    struct.pack_into("<I", header, 16, zlib.crc32(header))
    disk[512 : 512 + len(header)] = header
    disk[446:462] = struct.pack("<BBHBBHII", 0, 0, 0, 0xEE, 0, 0, 1, 4095)
    disk[510:512] = b"\x55\xaa"
    guest = open_guest(image_of(bytes(disk)))
    assert not guest.volumes
    assert any("neither" in part.why for part in guest.unread)


def test_devices_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MAX_DEVICES", 3)
    unread = UnreadParts()
    Discovery(Budget(), unread).explore(Device(f"p{number}", BytesSource(bytes(4096))) for number in range(9))
    assert [part.code for part in unread] == ["guest-too-much"]


def test_a_page_of_sqlite_that_leads_to_itself_ends() -> None:
    data = bytearray(SQLITE)
    size = int.from_bytes(data[16:18], "big")
    for number in range(1, len(data) // size):
        data[number * size] = 5  # every page is an inner one
    with pytest.raises(GuestError):
        list(sqlite.Database(BytesSource(bytes(data)), None, Budget(steps=10_000)).rows("Packages"))


def test_more_than_forty_links_lead_nowhere_and_forty_do() -> None:
    children = {f"{number}": link(f"{number + 1}") for number in range(50)}
    etc = folder({"x": text("x")})
    system = MemorySystem({**children, "50": text("end"), "out": link("../../../../etc/x"), "etc": etc})
    unread = UnreadParts()
    tree = discovery_tree(system, unread)
    assert tree.read("10") == b"end"
    assert tree.read("out") == b"x", "nothing is above the root"
    with pytest.raises(OSError, match="symbolic links"):
        tree.read("9")


def discovery_tree(system: MemorySystem, unread: UnreadParts):
    return tree_of(Volume("p1", BytesSource(b""), system, Budget(), unread))


def test_without_its_library_zstd_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "library", lambda *names: None)
    guest = open_guest(makers()["squashfs-zstd"]())
    assert [part.code for part in guest.unread] == ["guest-unknown"]


def test_subvolumes_outside_of_the_default_one_of_a_real_btrfs_are_walked() -> None:
    guest = open_guest(makers()["btrfs-subvolumes"]())
    [volume] = guest.volumes
    paths = {item.path for item in guest.walk_volumes()}
    default = "/" + volume.default.decode()
    assert default != "/"
    outside = [path for path in paths if path != "/" and not (path + "/").startswith(default + "/")]
    assert outside
    assert any(path.startswith(default + "/") for path in paths)
    assert not list(guest.unread)


def test_a_root_inode_that_became_a_file_is_told() -> None:
    """Mutant 955 of seed 0: the mode of the root of an XFS. NotADirectoryError left `open_guest`."""
    image = makers()["xfs-small-clean"]()
    system = open_guest(image).volumes[0].system
    root = system.root.to_bytes(8, "big")  # an inode has its own number at byte 152
    [place] = [
        number * 4096 + start
        for number, data in image.blocks.items()
        for start in range(0, 4096, 512)
        if data[start : start + 2] == b"IN" and data[start + 152 : start + 160] == root
    ]
    image.pwrite(place + 2, b"\x81\xa4")
    guest = open_guest(image)
    assert not guest.roots
    assert not list(guest.walk_volumes())
    assert {part.code for part in guest.unread} == {"guest-broken"}
