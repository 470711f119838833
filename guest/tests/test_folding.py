"""Folders in which the guest finds a file by its name in any case: each file system by its own table of letters."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from guest_fat import Crafted
from guest_stored import run, stored
from guest_xfs import SMALL

from douane_guest.budget import Budget
from douane_guest.discovery import opener
from douane_guest.errors import Broken, Unsupported
from douane_guest.filesystems.base import FOLDER
from douane_guest.filesystems.exfat.folder import RECORD, checksum_of
from douane_guest.filesystems.ext.casefold import folded
from douane_guest.roots import tree_of
from douane_guest.source import BytesSource
from douane_guest.tree import Tree
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume


def tree(kind: str, data: bytes) -> Tree:
    budget, source = Budget(), BytesSource(data)
    return tree_of(Volume("disk", source, opener(kind).open(source, budget), budget, UnreadParts()))


def debugfs(image: Path, *commands: str) -> str:
    return run("debugfs", "-w", "-f", "/dev/stdin", image, input="\n".join(commands).encode()).decode()


@pytest.fixture(scope="module")
def casefold(tmp_path_factory) -> Path:
    """An ext4 with a folder that ignores case."""
    image = tmp_path_factory.mktemp("casefold") / "image"
    run("mke2fs", "-q", "-t", "ext4", "-O", "casefold,^metadata_csum", image, "4M")
    debugfs(image, "mkdir both", "mkdir both/Straße", "mkdir both/GRÜSSE", "mkdir both/other", "mkdir heeds")
    debugfs(image, "mkdir heeds/Name", "mkdir double", "mkdir double/Maße", "mkdir double/MASSE", "mkdir double/other")
    debugfs(image, "sif both flags 0x40080000", "sif double flags 0x40080000")
    return image


def test_letters_are_the_same_where_they_are_in_the_tables_of_the_kernel():
    """Every 400th code point, and all of Latin, Greek, ligatures and ignorable ones, as e2fsprogs hashes them, which
    has the kernel's tables."""
    chosen = {*range(0x21, 0x24F), *range(0x370, 0x400), *range(0x1E00, 0x2070), *range(0xA7C0, 0xA7DE), 0x10570}
    chosen |= {*range(0xFB00, 0xFB07), *range(0xFE00, 0xFE10), 0x115F, 0x3164, 0xE0001, *range(0x2070, 0x3FFFF, 400)}
    letters = [chr(code) for code in sorted(chosen) if chr(code).isprintable() and chr(code) not in "\"'#;\\-\xa0"]
    commands = [
        f"dx_hash -h half_md4 {option} x{letter}y"
        for letter in letters
        for option, letter in (("-c -e utf8", letter), ("", folded(letter.encode()).decode()))
    ]
    hashes = re.findall(
        r"is (0x\w+ \(minor 0x\w+\))", run("debugfs", "-f", "/dev/stdin", input="\n".join(commands).encode()).decode()
    )
    assert len(hashes) == 2 * len(letters) > 3000
    assert [
        letter for letter, kernel, ours in zip(letters, hashes[::2], hashes[1::2], strict=True) if kernel != ours
    ] == []


@pytest.mark.parametrize("name", ["Straße", "STRASSE", "strasse", "S\u00adTRA\u200dSSE", "grüsse", "gru\u0308sse"])
def test_ext4_finds_names_as_the_kernel_does_where_a_folder_ignores_case(casefold, name):
    opened = tree("ext", casefold.read_bytes())
    assert opened.stat(f"both/{name}").node.kind == FOLDER
    assert not opened.exists("BOTH/other")
    assert not opened.exists("heeds/name")


def test_two_names_that_are_the_same_in_a_folder_of_ext4_are_told(casefold):
    opened = tree("ext", casefold.read_bytes())
    for name in ("Maße", "MASSE", "masse"):
        with pytest.raises(Broken, match="twice"):
            opened.stat(f"double/{name}")
    assert opened.list("double") == ["Maße", "other"]
    assert [part.code for part in opened.volume._unread] == ["guest-broken"]


def test_names_that_are_no_text_are_found_by_their_bytes_and_with_strict_not_at_all(casefold):
    image = casefold.read_bytes().replace(b"other", b"oth\xe9r")
    assert tree("ext", image).exists("both/oth\udce9r")
    assert not tree("ext", image).exists("both/OTH\udce9R")
    strict = bytearray(image)
    strict[1024 + 0x27E] = 1
    opened = tree("ext", bytes(strict))
    assert not opened.exists("both/oth\udce9r")
    assert "oth\udce9r" in opened.list("both")


def test_an_encoding_that_the_kernel_does_not_know_is_not_read(casefold):
    image = bytearray(casefold.read_bytes())
    image[1024 + 0x27C] = 2
    with pytest.raises(Unsupported, match="encoding 2"):
        tree("ext", bytes(image))


@pytest.mark.parametrize("kind", ["exfat", "ntfs"])
def test_exfat_and_ntfs_find_names_by_the_table_of_the_volume(kind):
    opened = tree(kind, stored(kind))
    upper = opened.read("GRÜßE, 世界")
    assert upper == opened.read("grüße, 世界") == b"odd 3"
    assert (
        opened.read(
            "DEEP/LEVEL 0/Level 1/level 2/level 3/level 4/level 5/level 6/level 7/level 8/level 9/level 10/LEVEL 11"
        )
        == b"bottom"
    )
    assert not opened.exists("GRÜSSE, 世界")
    assert not opened.exists("no text \udce9")


def test_ntfs_finds_a_stream_by_its_name_and_a_file_by_its_name_for_dos():
    opened = tree("ntfs", stored("ntfs"))
    assert opened.read("ONE:Stream") == b"a stream"
    assert opened.read("gruss~1") == b"odd 3"
    assert "GRUSS~1" not in opened.list()


@pytest.mark.parametrize(("kind", "also_listed"), [("exfat", False), ("ntfs", True)], ids=["exfat", "ntfs"])
def test_names_that_differ_only_in_case_are_told_and_not_guessed(kind, also_listed):
    """NTFS lists both, for the Linux subsystem makes such on purpose; a look-up cannot know which the guest opens."""
    image = stored(kind)
    if kind == "exfat":
        image = exfat_renamed(image, "zeros", "LINES")
    else:
        image = image.replace("zeros".encode("utf-16-le"), "LINES".encode("utf-16-le"))
    opened = tree(kind, image)
    assert ({"LINES", "lines"} <= set(opened.list())) == also_listed
    for name in ("lines", "LINES", "Lines"):
        with pytest.raises(Broken, match="twice"):
            opened.read(name)


def exfat_renamed(image: bytes, old: str, new: str) -> bytes:
    """Names of 15 letters at most."""
    data = bytearray(image)
    name = data.index(b"\xc1\0" + old.encode("utf-16-le") + b"\0\0")
    start = name - 2 * RECORD
    data[name + 2 : name + 2 + 2 * len(new)] = new.encode("utf-16-le")
    records = [bytes(data[place : place + RECORD]) for place in range(start, name + RECORD, RECORD)]
    data[start + 2 : start + 4] = checksum_of(records).to_bytes(2, "little")
    return bytes(data)


def test_a_table_of_capital_letters_that_is_damaged_is_told():
    image = bytearray(stored("exfat"))
    table = image.index(bytes.fromhex("0000010002000300"))
    image[table + 2 * ord("z")] ^= 1
    with pytest.raises(Broken, match="checksum of the table of capital letters"):
        tree("exfat", bytes(image)).stat("lines")


def test_fat_finds_a_file_by_its_long_and_by_its_short_name(tmp_path):
    image = tmp_path / "image"
    run("mkfs.fat", "-C", image, "1440")
    (tmp_path / "Long Name ä.efi").write_bytes(b"long")
    run("mcopy", "-i", image, tmp_path / "Long Name ä.efi", "::", env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
    opened = tree("fat", image.read_bytes())
    assert opened.list() == ["Long Name ä.efi"]
    assert opened.read("LONG NAME Ä.EFI") == opened.read("longna~1.efi") == b"long"
    assert not opened.exists("other\udce9")


def test_a_short_name_of_fat_that_is_the_long_one_of_another_file_is_told(tmp_path):
    """Firmware and Linux would find one of them; which, depends on their order."""
    crafted, short = Crafted(tmp_path), b"BOOTX64 EFI"
    crafted.put(*crafted.long("harmless", short), crafted.record(short))
    assert tree("fat", bytes(crafted.data)).stat("bootx64.efi").path == "/bootx64.efi"
    crafted.put(*crafted.long("BOOTX64.EFI", b"BOOTX6~1EFI"), crafted.record(b"BOOTX6~1EFI"))
    with pytest.raises(Broken, match="twice"):
        tree("fat", bytes(crafted.data)).stat("bootx64.efi")
    assert tree("fat", bytes(crafted.data)).list() == ["harmless", "BOOTX64.EFI"]


def test_xfs_ignores_case_where_mkfs_was_told_so(tmp_path):
    names = [f"Name-{number}-É" for number in range(300)]
    lines = ["/dummy", "0 0", "d--755 0 0", *(f"{name} ---644 0 0 /dev/null" for name in names), "$", ""]
    (tmp_path / "prototype").write_text("\n".join(lines))
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(20 << 20)
    run("mkfs.xfs", "-q", "-n", "version=ci", "-p", tmp_path / "prototype", image, env={**os.environ, **SMALL})
    opened = tree("xfs", image.read_bytes())
    assert opened.exists("NAME-299-É")
    assert not opened.exists("NAME-300-É")


def test_joliet_ignores_the_case_of_ascii(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/User-Data").write_bytes(b"#cloud-config")
    run("genisoimage", "-quiet", "-J", "-o", tmp_path / "image", tmp_path / "tree")
    assert tree("iso9660", (tmp_path / "image").read_bytes()).read("user-data") == b"#cloud-config"
