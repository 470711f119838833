"""The disk of a plain qcow2 while the image arrives, compared with the disk by qemu-img."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.plugins.convert import qcow2_disk
from douane.plugins.convert.files import skip_bytes
from douane.plugins.convert.qcow2_stream import Qcow2Stream
from support.qcow2_writes import SIZE, WRITES, by_douane, by_qemu, write_qcow2


def arriving(path: Path, cut: int, seed: int = 0) -> tuple[bytes, int]:
    """The disk as it is given out while the image arrives in pieces of up to `cut` bytes, the rest from the kept file;
    and how much of it was there before its end. The file ends where the pieces did, as a spool does."""
    data, chance = path.read_bytes(), random.Random(seed)
    fd = os.memfd_create("kept")
    try:
        disk = Qcow2Stream(fd, data[:512])
        disk_bytes: list[bytes] = []
        at = 0
        while at < len(data):
            piece = data[at : at + chance.randint(1, cut)]
            if piece.strip(b"\0"):
                os.pwrite(fd, piece, at)
            disk_bytes += [bytes(part) for part in disk.advance(at, piece)]
            assert sum(map(len, disk_bytes)) == disk.position
            at += len(piece)
        os.ftruncate(fd, len(data))
        disk_of_file: Iterator[bytes | memoryview] | None = qcow2_disk.read_disk(fd, disk.size or SIZE)
        if disk_of_file is not None:
            disk_bytes += [bytes(part) for part in skip_bytes(disk_of_file, disk.position)]
        return b"".join(disk_bytes), disk.position
    finally:
        os.close(fd)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.integers(9, 17),
    compat=st.sampled_from(["0.10", "1.1"]),
    preallocation=st.sampled_from(["off", "metadata"]),
    writes=WRITES,
    cut=st.sampled_from([700, 5000, 65536, 1 << 20]),
)
def test_the_disk_is_that_of_qemu_img(
    tmp_path: Path, bits: int, compat: str, preallocation: str, writes: list[tuple[str, int, int]], cut: int
) -> None:
    path = tmp_path / "disk.qcow2"
    write_qcow2(path, f"cluster_size={1 << bits},compat={compat},preallocation={preallocation}", writes)
    assert arriving(path, cut)[0] == by_douane(path) == by_qemu(path)


@pytest.mark.parametrize("bits", [9, 12, 16, 21])
def test_the_last_byte_of_an_image_by_qemu_img_completes_the_disk(tmp_path: Path, bits: int) -> None:
    raw, path = tmp_path / "raw", tmp_path / "disk.qcow2"
    with raw.open("wb") as file:
        for at in (0, 1 << 20, 5 << 20, 11 << 20):
            file.seek(at)
            file.write(random.Random(at).randbytes(1 << 19))
        file.truncate(12 << 20)
    words = ["-f", "raw", "-O", "qcow2", "-o", f"cluster_size={1 << bits}", str(raw), str(path)]
    subprocess.run(["qemu-img", "convert", *words], check=True)
    disk_bytes, early = arriving(path, 1 << 20)
    assert disk_bytes == raw.read_bytes()
    assert early == len(disk_bytes)


def test_a_cluster_out_of_order_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    write_qcow2(path, "cluster_size=65536", [("write -P 0x5a", 4000, 600), ("write -P 0xa5", 0, 600)])
    disk_bytes, early = arriving(path, 4096)
    assert disk_bytes == by_qemu(path)
    assert early == len(disk_bytes)


def test_a_table_with_compressed_clusters_ends_the_disk(tmp_path: Path) -> None:
    """Two tables of a disk with small clusters: the second one has compressed clusters."""
    path = tmp_path / "disk.qcow2"
    write_qcow2(path, "cluster_size=512", [("write -P 0x5a", 0, 700)])
    words = ["-c", "write -c -P 0xa5 2M 512", str(path)]
    subprocess.run(["qemu-io", "-f", "qcow2", *words], check=True, capture_output=True)
    disk_bytes, early = arriving(path, 4096)
    assert early == 2 << 20
    assert disk_bytes == by_qemu(path)[:early]
    assert by_douane(path) is None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 6 * 65536), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.sampled_from([3000, 1 << 17]),
)
def test_a_mutant_yields_the_beginning_of_the_disk_of_its_file(
    plain: Path, tmp_path: Path, changes: list[tuple[int, bytes]], cut: int
) -> None:
    data = bytearray(plain.read_bytes())
    for at, value in changes:
        data[at : at + len(value)] = value
    path = tmp_path / "changed.qcow2"
    path.write_bytes(data)
    disk_bytes, early = arriving(path, cut)
    assert early <= len(disk_bytes)
    disk_of_file = by_douane(path)
    assert disk_of_file is None or disk_bytes == disk_of_file


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "disk.qcow2"
    write_qcow2(path, "cluster_size=65536", [("write -P 0x5a", 100, 600)])
    return path
