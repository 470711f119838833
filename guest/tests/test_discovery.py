"""From the bytes of a disk to its volumes: groups and arrays in partitions; and the version of Windows."""

from __future__ import annotations

import os
import struct
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from guest_fuzz_images import makers
from memory_filesystem import MemorySystem, folder, text
from volume_pattern import Patched, members_of
from windows_hives import windows_hive

from douane_guest import discovery as discovery_module
from douane_guest.__main__ import main
from douane_guest.budget import Budget
from douane_guest.containers import registry as container_registry
from douane_guest.discovery import Device, Discovery
from douane_guest.errors import Broken, GuestError, Unsupported
from douane_guest.filesystems import registry
from douane_guest.guest import Guest, open_guest
from douane_guest.hive import Hive
from douane_guest.roots import parse_fstab, volume_of
from douane_guest.signatures import may_be
from douane_guest.source import BytesSource, Source
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume
from douane_guest.volumes.lvm.label import lvm_crc
from douane_guest.volumes.md import read_member

MIB = 1 << 20


@pytest.fixture
def ext4(tmp_path: Path) -> bytes:
    """A file system of 2 MiB with a system in it."""
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/os-release").write_text("ID=example\n")
    image = tmp_path / "ext4"
    image.touch()
    os.truncate(image, 2 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-d", tmp_path / "root", image], check=True)
    return image.read_bytes()


def discover(devices: list[Source]) -> tuple[Discovery, UnreadParts]:
    unread = UnreadParts()
    discovery = Discovery(Budget(), unread)
    discovery.explore([Device(f"p{number}", source) for number, source in enumerate(devices, 1)])
    return discovery, unread


def test_a_system_on_a_logical_volume_is_found_and_the_other_volumes_are_told(ext4: bytes) -> None:
    windows = members_of("lvm").windows
    first_extent = MIB
    discovery, unread = discover([Patched(windows[0], {first_extent: ext4}), *windows[1:]])
    assert [(volume.name, volume.filesystem) for volume in discovery.volumes] == [("guest-vg/linear", "ext4")]
    guest = Guest(None, discovery.volumes, Budget(), unread)
    assert guest.os == {"ID": "example"}
    codes = {part.where: part.code for part in unread}
    assert codes["guest-vg/striped"] == "guest-unknown"
    assert codes["guest-vg/thin"] == "guest-unknown"


@pytest.mark.parametrize("name", ["md-raid1-1.0", "md-raid1-1.1", "md-raid5-ls"])
def test_an_array_is_one_device_and_its_members_are_none(name: str) -> None:
    discovery, unread = discover(members_of(name).windows)
    assert not discovery.volumes
    assert [(part.where, part.code) for part in unread] == [("md/77", "guest-unknown")]


def test_a_member_beside_a_partition_table_makes_the_disk_ambiguous() -> None:
    window = members_of("md-raid1-1.2").windows[0]
    entry = struct.pack("<BBHBBHII", 0, 0, 0, 0x83, 0, 0, 4096, 512)
    disk = Patched(window, {446: entry, 510: b"\x55\xaa"})
    guest = open_guest(disk)
    assert any(part.where == "disk" and "ambiguous" in part.why for part in guest.unread)


def test_two_arrays_of_the_same_name_are_two_volumes(ext4: bytes) -> None:
    devices: list[Source] = []
    for version in ("1.1", "1.2"):
        window = members_of(f"md-raid1-{version}").windows[0]
        member = read_member(window)
        assert member is not None
        devices.append(Patched(window, {member.data_offset: ext4}))
    discovery, _ = discover(devices)
    assert sorted(volume.name for volume in discovery.volumes) == ["md/77", "md/77+"]


@pytest.mark.parametrize(
    ("pieces", "codes"),
    [
        ({1024: b"\1\0\0\0", 4086: b"SWAPSPACE2"}, []),
        ({4086: b"S1SUSPEND"}, ["guest-unclean"]),
        ({0: bytes.fromhex("edc302e99856e50c"), 4086: b"SWAPSPACE2"}, ["guest-unclean"]),
    ],
    ids=["swap", "hibernated", "hibernated by TuxOnIce"],
)
def test_memory_that_a_hibernated_guest_would_load_is_unread(pieces: dict[int, bytes], codes: list[str]) -> None:
    disk = bytearray(64 << 10)
    for place, piece in pieces.items():
        disk[place : place + len(piece)] = piece
    _, unread = discover([BytesSource(bytes(disk))])
    assert [part.code for part in unread] == codes


def test_a_physical_volume_of_a_group_that_is_elsewhere_is_unread() -> None:
    label = bytearray(512)
    label[32:72] = b"u" * 32 + (8 * MIB).to_bytes(8, "little")
    label[:32] = struct.pack("<8sQII8s", b"LABELONE", 1, 0, 32, b"LVM2 001")
    label[16:20] = lvm_crc(bytes(label[20:])).to_bytes(4, "little")
    disk = bytes(512) + bytes(label) + bytes(8 * MIB - 1024)
    discovery, unread = discover([BytesSource(disk)])
    assert not discovery.volumes
    assert not list(unread), "nothing is in it"
    _, unread = discover([BytesSource(disk[: 5 * MIB] + b"data" + disk[5 * MIB + 4 :])])
    assert [part.code for part in unread] == ["guest-unknown"]


def test_texts_of_groups_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "MAX_TEXTS", 100)
    _, unread = discover(members_of("lvm").windows)
    assert {part.code for part in unread} == {"guest-too-much"}


def test_of_a_disc_with_two_file_systems_udf_comes_first() -> None:
    disc = makers()["iso-udf"]()
    guest = open_guest(disc)
    assert [(volume.filesystem, volume.name) for volume in guest.volumes] == [
        ("udf", "disk (udf)"),
        ("iso9660", "disk (iso9660)"),
    ]
    assert guest.roots[0].volume.filesystem == "udf"
    assert not list(guest.unread)


def test_fstab_is_read_with_its_escapes_and_names_of_devices() -> None:
    lines = parse_fstab(
        b"# x\n/dev/mapper/a--b-c /my\\040files ext4 defaults,subvol=@x 0 0\nproc /proc proc\n/dev/sda3 none swap\n"
    )
    assert [(line.device, line.path, line.options.get("subvol")) for line in lines] == [
        ("/dev/mapper/a--b-c", b"my files", "@x"),
        ("proc", b"proc", None),
    ]
    volumes = [
        Volume(name, BytesSource(b""), MemorySystem({}, uuid=name), Budget(), UnreadParts())
        for name in ("a-b/c", "p3", "md/0")
    ]
    names = {
        "/dev/mapper/a--b-c": "a-b/c",
        "/dev/a-b/c": "a-b/c",
        "/dev/nvme0n1p3": "p3",
        "/dev/sda3": "p3",
        "/dev/md0": "md/0",
    }
    for device, name in {**names, "UUID=P3": "p3", "/dev/disk/by-uuid/p3": "p3"}.items():
        volume = volume_of(device, volumes)
        assert volume is not None, device
        assert volume.name == name
    assert volume_of("/dev/sda4", volumes) is None
    with pytest.raises(Broken, match="several"):
        volume_of("LABEL=", [*volumes, *volumes]) or volume_of("UUID=p3", [*volumes, *volumes])


def test_the_version_of_windows_is_in_its_registry() -> None:
    guest = windows_guest(windows_hive())
    assert guest.os == {"ID": "windows", "NAME": "Windows Server 2022", "BUILD_ID": "20348", "VERSION_ID": "10.0"}
    assert list(guest.unread) == []


def windows_guest(hive: bytes) -> Guest:
    config = folder({"SOFTWARE": text(hive)})
    system = MemorySystem({"Windows": folder({"System32": folder({"config": config})})}, name="ntfs")
    unread = UnreadParts()
    return Guest(None, [Volume("p1", BytesSource(b""), system, Budget(), unread)], Budget(), unread)


def test_a_registry_that_was_not_closed_is_told() -> None:
    hive = windows_hive()
    guest = windows_guest(hive[:4] + b"\2" + hive[5:])
    assert guest.os["BUILD_ID"] == "20348"
    assert [part.code for part in guest.unread] == ["guest-unclean"]


def test_a_hive_that_lacks_a_key_is_unread_and_mutants_raise_the_three_exceptions_alone() -> None:
    content = windows_hive()
    with pytest.raises(Unsupported, match="no key"):
        Hive(BytesSource(content), Budget()).key(["Microsoft", "Other"])
    for place in range(4096, 4096 + 900):
        mutant = bytearray(content)
        mutant[place] ^= 0xFF
        hive = Hive(BytesSource(bytes(mutant)), Budget(steps=10_000))
        try:
            hive.values(hive.key(["Microsoft", "Windows NT", "CurrentVersion"]))
        except GuestError:
            continue


def test_a_file_that_is_not_there_is_named_in_a_sentence(tmp_path, capsys):
    missing = str(tmp_path / "missing.img")
    assert main([missing, "ls"]) == 1
    assert capsys.readouterr().err == f"douane-guest: {missing}: No such file or directory\n"


def test_an_interrupt_ends_a_command_without_a_traceback(tmp_path, capsys, monkeypatch):
    def interrupted(source):
        raise KeyboardInterrupt

    image = tmp_path / "image"
    image.write_bytes(bytes(4096))
    monkeypatch.setattr("douane_guest.__main__.open_guest", interrupted)
    assert main([str(image), "ls"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("modules", [registry, container_registry])
def test_a_module_that_says_yes_is_asked_by_the_signature_of_its_format(modules):
    """A wrong signature would hide a format: each module takes a disk that has the bytes and no other disk."""
    package = modules.__name__.rpartition(".")[0]
    for name, (offset, choices) in modules.SIGNATURES.items():
        module = import_module(f"{package}.{name}")
        for signature in choices:
            disk = bytearray(2 << 20)
            disk[offset : offset + len(signature)] = signature
            assert module.probe(BytesSource(bytes(disk)))
            assert may_be(BytesSource(bytes(disk)), (offset, choices))
        assert not module.probe(BytesSource(bytes(2 << 20)))
        assert not may_be(BytesSource(bytes(2 << 20)), (offset, choices))
        assert not may_be(BytesSource(bytes(offset + 1)), (offset, choices))
