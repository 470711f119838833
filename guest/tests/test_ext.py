"""ext2, ext3 and ext4: every feature that mke2fs offers, against the tree in it and what the kernel shows."""

import os
import struct
from pathlib import Path

import pytest
from ext_images import content, debugfs, kernel_truth, make_ext, node_at, opened, run
from guest_fuzz_images import makers
from guest_mutants import mutants
from guest_trees import listing, make_tree, truth, without

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.filesystems import ext
from douane_guest.source import BytesSource

EVERYTHING = (
    "sparse_super2,large_dir,encrypt,casefold,verity,ea_inode,orphan_file,mmp,quota,project,stable_inodes,"
    "metadata_csum_seed,fast_commit"
)
CASES = {
    "ext2": ("ext2", ["-t", "ext2"]),
    "ext2 of 1992, with inodes of 128 bytes": ("ext2", ["-t", "ext2", "-r", "0", "-I", "128"]),
    "ext2 blocks of 1k": ("ext2", ["-t", "ext2", "-b", "1024"]),
    "ext2 without types in folders": ("ext2", ["-t", "ext2", "-O", "^filetype"]),
    "ext4 without types in folders": ("ext4", ["-t", "ext4", "-O", "^filetype"]),
    "ext3": ("ext3", ["-t", "ext3"]),
    "ext4": ("ext4", ["-t", "ext4"]),
    "without extents": ("ext4", ["-t", "ext4", "-O", "^extent,^64bit"]),
    "without 64bit": ("ext4", ["-t", "ext4", "-O", "^64bit"]),
    "without checksums": ("ext4", ["-t", "ext4", "-O", "^metadata_csum,uninit_bg"]),
    "without flex_bg": ("ext4", ["-t", "ext4", "-O", "^flex_bg"]),
    "without huge_file": ("ext4", ["-t", "ext4", "-O", "^huge_file"]),
    "without a journal": ("ext4", ["-t", "ext4", "-O", "^has_journal"]),
    "blocks of 1k": ("ext4", ["-t", "ext4", "-b", "1024"]),
    "blocks of 2k": ("ext4", ["-t", "ext4", "-b", "2048"]),
    "blocks of 64k": ("ext4", ["-t", "ext4", "-b", "65536", "-N", "2000", "-m", "0"]),
    "small inodes": ("ext4", ["-t", "ext4", "-I", "128"]),
    "large inodes": ("ext4", ["-t", "ext4", "-I", "1024"]),
    "bigalloc": ("ext4", ["-t", "ext4", "-O", "bigalloc", "-C", "16384"]),
    "bigalloc, blocks of 1k": ("ext4", ["-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "8192"]),
    "meta_bg": ("ext4", ["-t", "ext4", "-O", "meta_bg,^resize_inode"]),
    "meta_bg, small groups": ("ext4", ["-t", "ext4", "-b", "1024", "-g", "512", "-O", "meta_bg,^resize_inode"]),
    "meta_bg, bigalloc": (
        "ext4",
        ["-t", "ext4", "-b", "1024", "-O", "bigalloc,meta_bg,^resize_inode", "-g", "2048", "-C", "4096"],
    ),
    "small groups": ("ext2", ["-t", "ext2", "-b", "1024", "-g", "256"]),
    "sparse_super2": ("ext4", ["-t", "ext4", "-O", "sparse_super2,meta_bg,^resize_inode", "-b", "1024", "-g", "512"]),
    "inline_data": ("ext4", ["-t", "ext4", "-O", "inline_data"]),
    "inline_data, large inodes": ("ext4", ["-t", "ext4", "-O", "inline_data", "-I", "512"]),
    "everything else": ("ext4", ["-t", "ext4", "-O", EVERYTHING]),
}

INLINE_HOLES = (b"hole", b"hole at end")
"""mke2fs 1.47 ends such a file with its last data if it makes inline files; what the kernel shows is compared."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("ext") / "tree"
    make_tree(root, extents=700, folder_size=500)
    os.setxattr(root / "small", "user.note", b"a value")
    os.setxattr(root / "page", "user.long", b"v" * 500)
    return root


def packed(tree: Path, case: str):
    """The tree as mke2fs packs it: without nanoseconds, and in inline files without a hole at the end."""
    drop = INLINE_HOLES if "inline" in case else ()
    return {
        path: fact._replace(mtime_ns=fact.mtime_ns // 10**9 * 10**9)
        for path, fact in truth(tree).items()
        if path not in drop
    }


@pytest.mark.parametrize("case", CASES)
def test_every_entry_is_the_one_that_was_packed_and_that_the_kernel_shows(tree, tmp_path, case):
    name, options = CASES[case]
    image = make_ext(tmp_path / "image", *options, tree=tree)
    with opened(image) as system:
        displayed = listing(system)
        assert (system.name, system.clean, system.unread) == (name, True, [])
    kernel = kernel_truth(image)
    image.unlink()
    if kernel:
        assert displayed == kernel
    drop = (b"lost+found", *INLINE_HOLES) if "inline" in case else (b"lost+found",)
    expected = packed(tree, case)
    displayed[b""] = displayed[b""]._replace(mtime_ns=expected[b""].mtime_ns)  # the time of mke2fs
    assert without(displayed, drop=drop) == expected


def test_label_and_uuid_are_those_that_were_set(tmp_path):
    uuid = "0f0e0d0c-1234-4321-abcd-0123456789ab"
    image = make_ext(tmp_path / "image", "-t", "ext4", "-L", "Größe", "-U", uuid, size="8M")
    with opened(image) as system:
        assert (system.label, system.uuid) == ("Größe", uuid)


@pytest.mark.parametrize("options", [[], ["-O", "ea_inode", "-I", "128"], ["-O", "inline_data"]])
def test_extended_attributes_are_those_that_were_set(tmp_path, options):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "file").write_bytes(b"x")
    expected = {b"user.short": b"1", b"user.empty": b"", b"user.long": bytes(range(200)) * 12}
    if "ea_inode" in str(options):
        expected[b"user.huge"] = b"h" * 4096  # as many as debugfs takes, and more than the block of attributes has
    acl = struct.pack("<IHHIHHIHHIHHIHHI", 2, *(1, 6, -1 & 0xFFFFFFFF), *(2, 4, 1000), *(4, 4, 0xFFFFFFFF),
                      *(16, 4, 0xFFFFFFFF), *(32, 0, 0xFFFFFFFF))  # fmt: skip
    image = make_ext(tmp_path / "image", "-t", "ext4", "-b", "4096", *options, tree=root, size="16M")
    for name, value in expected.items():
        (tmp_path / "value").write_bytes(value)
        debugfs(image, f"ea_set -f {tmp_path}/value /file {name.decode()}")
    (tmp_path / "value").write_bytes(acl)
    debugfs(image, f"ea_set -f {tmp_path}/value /file system.posix_acl_access")
    with opened(image) as system:
        assert system.xattrs(node_at(system, "file")) == expected | {b"system.posix_acl_access": acl}


@pytest.mark.parametrize(
    ("seconds", "extra", "expected"),
    [
        (1_700_000_000, 123_456_789 << 2, 1_700_000_000_123_456_789),
        (-1, 0, -1_000_000_000),
        (-(2**31), 1, 2**31 * 10**9),
        (2**31 - 1, 3 | 999_999_999 << 2, (2**31 - 1 + 3 * 2**32) * 10**9 + 999_999_999),
    ],
)
def test_times_have_nanoseconds_and_two_more_bits_of_seconds(tmp_path, seconds, extra, expected):
    image = make_ext(tmp_path / "image", "-t", "ext4", "-O", "^metadata_csum", size="8M")
    debugfs(image, "mkdir new", f"sif new mtime_lo {seconds & 0xFFFFFFFF}", f"sif new mtime_extra {extra}")
    with opened(image) as system:
        assert node_at(system, "new").mtime_ns == expected


def test_names_and_bytes_of_what_is_encrypted_are_refused_as_encrypted(tmp_path, tree):
    image = make_ext(tmp_path / "image", "-t", "ext4", "-O", "encrypt", tree=tree)
    debugfs(image, "sif folder flags 0x80800", "sif large flags 0x80800", "sif link155 flags 0x80800")
    with opened(image) as system:
        for read in (
            lambda: list(system.entries(node_at(system, "folder"))),
            lambda: list(system.chunks(node_at(system, "large"))),
            lambda: system.target(node_at(system, "link155")),
        ):
            with pytest.raises(Unsupported) as caught:
                read()
            assert caught.value.code == "guest-encrypted"
        assert content(system, "small") == (tree / "small").read_bytes()


def test_unwritten_extents_are_zeros(tmp_path):
    image = make_ext(tmp_path / "image", "-t", "ext4", size="8M")
    (tmp_path / "data").write_bytes(b"d" * 20_000)
    debugfs(image, f"write {tmp_path}/data file", "fallocate file 5 20", "sif file size 86016")
    with opened(image) as system:
        assert content(system, "file") == b"d" * 20_000 + bytes(86016 - 20_000)


@pytest.mark.parametrize(
    ("options", "why"),
    [(["-O", "journal_dev"], "elsewhere"), (["-O", "^metadata_csum", "-E", "test_fs"], None)],
)
def test_a_journal_device_is_not_a_file_system(tmp_path, options, why):
    image = make_ext(tmp_path / "image", *options, size="8M")
    assert ext.probe(BytesSource(image.read_bytes()))
    if why:
        with pytest.raises(Unsupported, match=why):
            ext.open(BytesSource(image.read_bytes()), Budget())


def test_a_journal_on_another_device_is_listed_as_unread(tmp_path):
    image = make_ext(tmp_path / "image", "-t", "ext4", "-O", "^metadata_csum", size="8M")
    debugfs(image, "ssv journal_inum 0", "ssv journal_dev 0x803")
    with opened(image) as system:
        assert [(unread.code, "another device" in unread.why) for unread in system.unread] == [("guest-unclean", True)]


@pytest.mark.parametrize(("state", "why"), [(0, "not unmounted"), (3, "errors")])
def test_a_file_system_that_a_check_would_change_is_listed_as_unread(tmp_path, state, why):
    image = make_ext(tmp_path / "image", "-t", "ext2", size="8M")
    debugfs(image, f"ssv state {state}")
    with opened(image) as system:
        assert not system.clean
        assert why in system.unread[0].why


def test_unknown_features_are_not_read(tmp_path):
    for field, value in (("feature_incompat", 0x20000042), ("feature_ro_compat", 0x20000001)):
        image = make_ext(tmp_path / "image", "-t", "ext2", size="8M")
        data = bytearray(image.read_bytes())
        place = 1024 + (0x60 if "incompat" in field else 0x64)
        data[place : place + 4] = value.to_bytes(4, "little")
        with pytest.raises(Unsupported, match="features"):
            ext.open(BytesSource(bytes(data)), Budget())


def test_a_superblock_with_a_wrong_checksum_is_broken(tmp_path):
    data = bytearray(make_ext(tmp_path / "image", "-t", "ext4", size="8M").read_bytes())
    data[1024 + 0x78] ^= 1
    with pytest.raises(Broken, match="checksum"):
        ext.open(BytesSource(bytes(data)), Budget())


def test_a_file_of_2_to_60_bytes_costs_nothing_and_an_extent_that_repeats_is_broken(tmp_path):
    for kind, flags in (("ext4", None), ("ext2", None)):
        image = make_ext(tmp_path / "image", "-t", kind, "-O", "^metadata_csum", size="8M")
        debugfs(image, "mknod pipe p", "write /dev/null big", f"sif big size {1 << 60}")
        with opened(image, Budget(steps=100)) as system:
            assert list(system.chunks(node_at(system, "big"))) == [], flags


def test_inodes_as_large_as_a_block_of_64k_are_not_read_by_the_hundred(tmp_path):
    image = make_ext(tmp_path / "image", "-t", "ext4", "-b", "65536", "-I", "65536", "-N", "64", size="64M")

    class Largest(BytesSource):
        count = 0

        def pread(self, offset, count):
            self.count = max(self.count, count)
            return super().pread(offset, count)

    source = Largest(image.read_bytes())
    system = ext.open(source, Budget())
    assert {entry.name for entry in system.entries(system.node(2))} == {b"lost+found"}
    assert source.count == 65536


def test_a_block_of_numbers_that_names_itself_ends_with_its_steps(tmp_path):
    image = make_ext(tmp_path / "image", "-t", "ext2", "-b", "1024", size="8M")
    data = bytearray(image.read_bytes())
    data[5000 * 1024 : 5001 * 1024] = struct.pack("<I", 5000) * 256
    image.write_bytes(data)
    debugfs(image, "write /dev/null big", f"sif big size {1 << 40}", "sif big block[TIND] 5000")
    with opened(image, Budget(steps=100_000)) as system, pytest.raises(TooMuch):
        for _ in system.chunks(node_at(system, "big")):
            pass


@pytest.mark.parametrize("number", [7, 8, 13, 9999])
def test_an_entry_of_a_reserved_deleted_or_missing_inode_is_broken(tmp_path, number):
    image = make_ext(tmp_path / "image", "-t", "ext4", size="8M")
    debugfs(image, "mkdir real", f"link <{number}> false" if number < 9999 else "mkdir b")
    with opened(image) as system, pytest.raises(Broken):
        system.node(number)


@pytest.mark.parametrize("options", [["ext4"], ["ext2"], ["ext4", "-O", "inline_data,ea_inode", "-b", "1024"]])
def test_mutants_are_refused_with_the_three_exceptions_within_their_steps(tmp_path, options):
    root = tmp_path / "tree"
    make_tree(root, extents=10, folder_size=60)
    os.setxattr(root / "small", "user.note", b"a value")
    for name in ("large", "zeros", "text", "hard link"):
        (root / name).unlink()
    image = make_ext(tmp_path / "image", "-t", *options, tree=root, size="12M")
    assert mutants(image.read_bytes(), ext.open, 150, steps=200_000) > 5


def test_the_large_file_of_a_check_has_a_tree_of_extents(tmp_path, tree):
    """The matrix above would prove nothing of trees if mke2fs did not make one."""
    image = make_ext(tmp_path / "image", "-t", "ext4", tree=tree)
    with opened(image) as system:
        assert node_at(system, "extents").detail[46] > 0
    run("e2fsck", "-fn", str(image))


def test_a_folder_in_blocks_that_were_never_written_is_broken():
    """Linux reads its names from there."""
    image = makers()["ext4"]()
    system = ext.open(image, Budget())
    node = node_at(system, "data")
    place = next(
        number * 4096 + data.index(node.detail) for number, data in image.blocks.items() if node.detail in data
    )
    image.pwrite(place + 40 + 12 + 4 + 1, b"\x80")
    system = ext.open(image, Budget())
    with pytest.raises(Broken, match="never written"):
        list(system.entries(node_at(system, "data")))
