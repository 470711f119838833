"""Partition tables made by sfdisk and sgdisk, and what is wrong with those that nobody makes."""

import json
import os
import subprocess
from binascii import crc32
from pathlib import Path
from struct import pack

import pytest
from guest_disks import mutants, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from douane_guest.budget import Budget
from douane_guest.source import BytesSource, FileSource
from douane_guest.tables.base import Partition
from douane_guest.tables.find import partitions

SIZE = 64 << 20


def disk(tmp_path: Path, size: int = SIZE) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def sfdisk(path: Path, script: str, *options: str) -> None:
    subprocess.run(["sfdisk", "-q", *options, path], input=script, text=True, check=True, capture_output=True)


def sgdisk(path: Path, *options: str) -> None:
    subprocess.run(["sgdisk", *options, path], check=True, capture_output=True)


def read(path: Path, **options):
    fd = os.open(path, os.O_RDONLY)
    try:
        return partitions(FileSource(fd), Budget(), **options)
    finally:
        os.close(fd)


def fdisk(path: Path, *commands: str) -> None:
    """For sectors of 4096 bytes: sfdisk and sgdisk have no option for these in a file."""
    script = "\n".join([*commands, "w"]) + "\n"
    words = ["fdisk", "-b", "4096", "-w", "always", "-W", "always", path]
    subprocess.run(words, input=script, text=True, check=True, capture_output=True)


def stated(path: Path) -> dict[str, tuple[int, int]]:
    """What sfdisk says: start and size in bytes by number, without extended partitions."""
    output = subprocess.run(["sfdisk", "--json", path], check=True, capture_output=True).stdout
    return {
        "p" + part["node"].removeprefix(str(path)).lstrip("p"): (part["start"] * 512, part["size"] * 512)
        for part in json.loads(output)["partitiontable"]["partitions"]
        if part["type"] not in ("5", "f", "85")
    }


def stated_with_large_sectors(path: Path) -> list[tuple[int, int]]:
    """What fdisk says: start and size in bytes, with extended partitions."""
    words = ["fdisk", "-b", "4096", "-l", "-o", "Start,Sectors", path]
    output = subprocess.run(
        words, check=True, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}
    )
    rows = output.stdout[output.stdout.index("Start") :].splitlines()[1:]
    return [(int(row.split()[0]) * 4096, int(row.split()[1]) * 4096) for row in rows]


def ranges(table) -> dict[str, tuple[int, int]]:
    return {partition.name: (partition.start, partition.size) for partition in table.partitions}


MBR = "label: dos\n,8M,83,*\n,8M,82\n,,5\n,4M,83\n,4M,8e\n,4M,7\n"


def test_an_mbr_with_logical_partitions_is_what_sfdisk_says(tmp_path):
    path = disk(tmp_path)
    sfdisk(path, MBR)
    table = read(path)
    assert (table.kind, table.sector_size, table.unread) == ("mbr", 512, ())
    assert ranges(table) == stated(path)
    assert [partition.name for partition in table.partitions] == ["p1", "p2", "p5", "p6", "p7"]
    assert [partition.kind for partition in table.partitions] == ["0x83", "0x82", "0x83", "0x8e", "0x07"]


def test_logical_partitions_keep_their_order_after_one_was_deleted(tmp_path):
    path = disk(tmp_path)
    sfdisk(path, MBR)
    subprocess.run(["sfdisk", "-q", "--delete", path, "6"], check=True)
    table = read(path)
    assert ranges(table) == stated(path)
    assert table.unread == ()


def test_a_gpt_is_what_sfdisk_says(tmp_path):
    path = disk(tmp_path)
    sfdisk(path, 'label: gpt\nsize=8M, type=uefi, name=boot\nsize=16M, type=linux, name="root \u00fc"\ntype=lvm\n')
    table = read(path)
    assert (table.kind, table.sector_size, table.unread) == ("gpt", 512, ())
    assert ranges(table) == stated(path)
    boot, root, lvm = table.partitions
    assert (boot.kind, boot.label) == ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "boot")
    assert root.label == "root \u00fc"
    assert lvm.kind == "e6d6d379-f507-44c2-a23c-238f2a3df928"
    assert len({partition.uuid for partition in table.partitions}) == 3


def test_a_gpt_with_sectors_of_4096_bytes_is_what_fdisk_says(tmp_path):
    path = disk(tmp_path)
    fdisk(path, "g", "n", "1", "", "+8M", "n", "2", "", "")
    table = read(path)
    assert (table.kind, table.sector_size, table.unread) == ("gpt", 4096, ())
    assert list(ranges(table).values()) == stated_with_large_sectors(path)
    assert len(table.partitions) == 2


def test_an_mbr_counts_in_the_sectors_of_its_container(tmp_path):
    path = disk(tmp_path)
    fdisk(path, "o", "n", "p", "1", "", "+8M", "n", "e", "2", "", "", "n", "", "+8M", "n", "", "+8M")
    first, _extended, *logical = stated_with_large_sectors(path)
    table = read(path, sector_size=4096)
    assert list(ranges(table).values()) == [first, *logical]
    assert [partition.name for partition in table.partitions] == ["p1", "p5", "p6"]


def gpt(tmp_path: Path) -> Path:
    path = disk(tmp_path)
    sgdisk(path, "-n1:2048:+8M", "-t1:ef00", "-n2:0:+8M", "-n5:0:+8M", "-c5:five")
    return path


def test_numbers_of_a_gpt_with_gaps_are_kept(tmp_path):
    assert [partition.name for partition in read(gpt(tmp_path)).partitions] == ["p1", "p2", "p5"]


def test_a_hybrid_mbr_adds_only_what_the_gpt_does_not_have(tmp_path):
    path = gpt(tmp_path)
    sgdisk(path, "-h1:2")
    table = read(path)
    assert table.kind == "gpt"
    assert [partition.name for partition in table.partitions] == ["p1", "p2", "p5"]
    data = bytearray(path.read_bytes())
    number = next(n for n in range(4) if data[446 + 16 * n + 4] not in (0, 0xEE))
    data[446 + 16 * number + 12 : 446 + 16 * number + 16] = pack("<I", 100)
    table = partitions(BytesSource(bytes(data)), Budget())
    assert [partition.name for partition in table.partitions] == ["p1", "p2", "p5", f"mbr{number + 1}"]


def broken(data: bytes) -> str:
    table = partitions(BytesSource(bytes(data)), Budget())
    assert all(unread.code == "guest-broken" for unread in table.unread)
    return " | ".join(unread.why for unread in table.unread)


def test_the_copy_is_read_if_the_first_header_is_damaged_and_that_is_reported(tmp_path):
    path = gpt(tmp_path)
    names = ranges(read(path))
    data = bytearray(path.read_bytes())
    data[512 + 60] ^= 1
    table = partitions(BytesSource(bytes(data)), Budget())
    assert ranges(table) == names
    assert "its copy at the end was read" in broken(data)
    data[-512 + 60] ^= 1
    assert partitions(BytesSource(bytes(data)), Budget()).partitions == ()
    assert "neither its header nor the copy" in broken(data)


def test_a_copy_that_differs_is_reported(tmp_path):
    path = gpt(tmp_path)
    other = path.read_bytes()
    sgdisk(path, "-d5")
    data = bytearray(path.read_bytes())
    data[-33 * 512 :] = other[-33 * 512 :]
    assert "differs from its copy" in broken(data)
    data[-33 * 512 :] = bytes(33 * 512)
    assert "is missing or damaged" in broken(data)


def test_a_gpt_without_a_protective_mbr_is_reported(tmp_path):
    data = bytearray(gpt(tmp_path).read_bytes())
    data[:512] = bytes(512)
    assert "does not protect" in broken(data)
    assert len(partitions(BytesSource(bytes(data)), Budget()).partitions) == 3


def test_a_forgotten_copy_at_the_end_of_a_disk_without_a_table_is_no_table(tmp_path):
    data = bytearray(gpt(tmp_path).read_bytes())
    data[: 34 * 512] = bytes(34 * 512)
    table = partitions(BytesSource(bytes(data)), Budget())
    assert (table.kind, table.partitions, table.unread) == ("", (), ())


def test_two_tables_for_two_sizes_of_sectors_are_reported(tmp_path):
    data = bytearray(gpt(tmp_path).read_bytes())
    path = disk(tmp_path)
    fdisk(path, "g", "n", "1", "", "+8M")
    other = path.read_bytes()
    entries, moved = other[8192 : 8192 + 16384], 16 << 20
    header = bytearray(other[4096:8192])
    header[72:80] = pack("<Q", moved // 4096)
    header[16:20] = bytes(4)
    header[16:20] = pack("<I", crc32(header[:92]))
    data[moved : moved + 16384] = entries
    data[2048 * 512 - 4096 : 2048 * 512] = data[1024:5120]  # the first entries leave the place of the other header
    first = bytearray(data[512:1024])
    first[72:80] = pack("<Q", 2048 - 8)
    first[80:84] = pack("<I", 32)
    first[88:92] = pack("<I", crc32(data[1024:5120]))
    first[16:20] = bytes(4)
    first[16:20] = pack("<I", crc32(first[:92]))
    data[512:1024] = first
    data[4096:8192] = header
    assert "another one for sectors of 4096" in broken(data)


# ---- MBR, by hand


def entry(kind: int, start: int, count: int, active: int = 0) -> bytes:
    return pack("<B3xB3xII", active, kind, start, count)


def record(*entries: bytes) -> bytes:
    return bytes(446) + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"


def build(sectors: int, **records: bytes) -> bytes:
    data = bytearray(sectors * 512)
    for name, sector in records.items():
        at = int(name[1:]) * 512
        data[at : at + 512] = sector
    return bytes(data)


@pytest.mark.parametrize("boot", [b"\xeb\x52\x90NTFS    ", b"\xeb\x76\x90EXFAT   "])
def test_partitions_in_the_boot_sector_of_a_file_system_are_listed_and_reported(boot: bytes):
    disk = bytearray(build(200, s0=record(entry(0x83, 64, 100))))
    disk[: len(boot)] = boot
    table = partitions(BytesSource(bytes(disk)), Budget())
    assert ranges(table) == {"p1": (64 * 512, 100 * 512)}
    assert "boot sector" in table.unread[0].why
    disk[446 + 8] = 0
    disk[446 + 12] = 200
    assert not partitions(BytesSource(bytes(disk)), Budget()).partitions, (
        "it is the whole disk, as mkfs.fat --mbr writes it"
    )


def test_partitions_of_a_disk_that_looks_like_a_kernel_are_listed_and_reported():
    disk = bytearray(build(200, s0=record(entry(0x83, 64, 100))))
    disk[0x202:0x206] = b"HdrS"
    table = partitions(BytesSource(bytes(disk)), Budget())
    assert ranges(table) == {"p1": (64 * 512, 100 * 512)}
    assert len(table.unread) == 1


def test_overlapping_partitions_are_listed_and_reported():
    data = build(100, s0=record(entry(0x83, 10, 30), entry(0x83, 20, 30)))
    assert broken(data) == "the partitions p1 and p2 overlap"
    assert len(partitions(BytesSource(data), Budget()).partitions) == 2


def test_partitions_beyond_the_end_are_reported_and_not_listed():
    data = build(100, s0=record(entry(0x83, 10, 30), entry(0x83, 50, 51)))
    assert "p2 ends at byte 51712, beyond the end" in broken(data)
    assert [one.name for one in partitions(BytesSource(data), Budget()).partitions] == ["p1"]


@pytest.mark.parametrize("target", [0, 10])
def test_a_loop_of_extended_boot_records_is_reported_and_ends(target):
    data = build(
        100,
        s0=record(entry(5, 10, 80)),
        s10=record(entry(0x83, 1, 5), entry(5, 10, 10)),
        s20=record(entry(0x83, 1, 5), entry(5, target, 10)),
    )
    assert "a loop" in broken(data)
    assert [one.name for one in partitions(BytesSource(data), Budget()).partitions] == ["p5", "p6"]


def test_a_chain_of_thousands_of_records_ends_at_the_bound():
    count = 2000
    records = {f"s{n}": record(entry(0x83, 1, 1), entry(5, n + 2 - 10, 2)) for n in range(10, 10 + 2 * count, 2)}
    data = build(20 + 2 * count, s0=record(entry(5, 10, 2 * count + 5)), **records)
    assert "more than 128" in broken(data)


def test_an_extended_partition_that_begins_with_the_table_itself_is_reported_and_not_followed():
    data = build(100, s0=record(entry(5, 0, 80), entry(0x83, 10, 20)))
    assert "begins at sector 0" in broken(data)
    assert ranges(partitions(BytesSource(data), Budget())) == {"p2": (10 * 512, 20 * 512)}


def test_two_extended_partitions_are_both_read_and_reported():
    data = build(
        100,
        s0=record(entry(5, 10, 20), entry(5, 40, 20)),
        s10=record(entry(0x83, 1, 5)),
        s40=record(entry(0x83, 1, 6)),
    )
    assert "two extended" in broken(data)
    assert ranges(partitions(BytesSource(data), Budget())) == {"p5": (11 * 512, 5 * 512), "p6": (41 * 512, 6 * 512)}


def test_logical_partitions_that_overlap_are_reported():
    data = build(
        100,
        s0=record(entry(5, 10, 80)),
        s10=record(entry(0x83, 1, 30), entry(5, 20, 10)),
        s30=record(entry(0x83, 1, 5)),
    )
    assert "p5 and p6 overlap" in broken(data)


def test_a_link_to_what_is_no_record_is_reported():
    assert "no extended boot record" in broken(build(100, s0=record(entry(5, 10, 80))))
    assert "beyond the end of the disk" in broken(build(100, s0=record(entry(5, 200, 80))))


def test_the_image_of_an_iso_may_be_its_first_partition():
    data = bytearray(build(200, s0=record(entry(0, 0, 200, 0x80), entry(0xEF, 10, 20))))
    assert "with the table itself" in broken(data)
    data[32769:32774] = b"CD001"
    assert broken(data) == ""
    assert ranges(partitions(BytesSource(bytes(data)), Budget())) == {"p2": (5120, 10240)}


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1024, 5000])
def test_a_disk_without_a_table_has_no_partitions(size):
    table = partitions(BytesSource(bytes(size)), Budget())
    assert (table.kind, table.partitions, table.unread) == ("", (), ())


def test_the_boot_sector_of_a_file_system_is_no_table(tmp_path):
    path = disk(tmp_path)
    subprocess.run(["mkfs.fat", path], check=True, capture_output=True)
    assert read(path).kind == ""


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0x83, 5, 0x0F, 0x8E]), st.integers(0, 120), st.integers(0, 120)), max_size=4)
)
def test_listed_partitions_are_on_the_disk_whatever_the_entries_are(entries):
    data = build(100, s0=record(*(entry(*values) for values in entries)))
    for partition in partitions(BytesSource(data), Budget()).partitions:
        assert isinstance(partition, Partition)
        assert 0 < partition.start < partition.start + partition.size <= len(data)


def test_mutants_of_tables_end_in_one_of_three_exceptions(tmp_path):
    path = disk(tmp_path, size=8 << 20)
    sgdisk(path, "-n1:2048:+1M", "-n2:0:+1M")
    table = path.read_bytes()
    ranges_of_gpt = [(446, 66), (512, 92), (1024, 512), (len(table) - 512, 92), (len(table) - 33 * 512, 512)]
    path = disk(tmp_path, size=8 << 20)
    sfdisk(path, "label: dos\n,1M\n,,5\n,1M\n,1M\n,1M\n")
    chain = path.read_bytes()
    places = [at for at in range(0, len(chain), 512) if chain[at + 510 : at + 512] == b"\x55\xaa"]
    for data, where in ((table, ranges_of_gpt), (chain, [(at + 446, 66) for at in places])):
        codes = {outcome(mutant, partitions, steps=10_000) for mutant in mutants(data, where, 150, seed=3)}
        assert codes == {"read"}, "what is wrong with a table is in its list, and no exception"
