"""The disk of a plain qcow2 as Douane reads it, compared with the disk by qemu-img."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.qcow2_writes import SIZE, by_douane, by_qemu, write_qcow2


def test_the_last_cluster_of_the_file_may_be_short(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    write_qcow2(path, "cluster_size=65536", [("write -P 0x5a", 7, 3)])
    cluster = path.stat().st_size // 65536 * 65536 - 65536
    os.truncate(path, cluster + 5000)
    disk = by_douane(path)
    assert disk == by_qemu(path)
    assert disk is not None
    assert disk.count(b"\x5a") == 5000 - 7 * 512


def test_a_disk_that_ends_within_a_cluster(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    size = SIZE + 512 * 3
    write_qcow2(path, "cluster_size=65536", [("write -P 0x5a", SIZE // 512 - 5, 8)], size)
    assert by_douane(path, size) == by_qemu(path)


@pytest.mark.parametrize(
    "options",
    ["extended_l2=on,cluster_size=65536", "lazy_refcounts=on,compat=1.1", "data_file_raw=on,data_file=other.raw"],
)
def test_an_image_that_is_not_plain_is_left_to_qemu_img(
    tmp_path: Path, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "disk.qcow2"
    write_qcow2(path, options, [("write -P 0x5a", 0, 100)])
    plain = options.startswith("lazy")  # a compatible feature, and the image was closed well
    assert (by_douane(path) is None) is not plain


def test_compressed_clusters_are_left_to_qemu_img(tmp_path: Path) -> None:
    raw, path = tmp_path / "raw", tmp_path / "disk.qcow2"
    raw.write_bytes(b"abcd" * (SIZE // 4))
    subprocess.run(["qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", str(raw), str(path)], check=True)
    assert by_douane(path) is None


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (4, b"\0\0\0\4"),  # the version
        (8, b"\0\0\0\0\0\0\1\0"),  # a backing file
        (32, b"\0\0\0\1"),  # encryption
        (72, b"\0\0\0\0\0\0\0\2"),  # marked as damaged
        (72, b"\x80\0\0\0\0\0\0\0"),  # an unknown feature
        (40, b"\0\0\0\0\0\3\0\1"),  # an L1 table that begins within a cluster
        (40, b"\0\0\0\0\x7f\0\0\0"),  # an L1 table behind the end
        (36, b"\0\0\0\0"),  # a shorter L1 table than the disk needs
    ],
)
def test_an_image_that_contradicts_itself_is_left_to_qemu_img(tmp_path: Path, at: int, value: bytes) -> None:
    path = tmp_path / "disk.qcow2"
    write_qcow2(path, "cluster_size=65536", [("write -P 0x5a", 0, 100)])
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)
    assert by_douane(path) is None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 6 * 65536), st.binary(min_size=1, max_size=8)), max_size=4))
def test_a_mutant_has_a_disk_of_full_length_or_none(
    plain: Path, tmp_path: Path, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(plain.read_bytes())
    for at, value in changes:
        data[at : at + len(value)] = value
    path = tmp_path / "changed.qcow2"
    path.write_bytes(data)
    disk = by_douane(path)
    assert disk is None or len(disk) == SIZE


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "disk.qcow2"
    write_qcow2(path, "cluster_size=65536", [("write -P 0x5a", 100, 600)])
    return path
