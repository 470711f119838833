"""The disk of a stream-optimized VMDK as `convert` reads it, compared with the disk by qemu-img."""

from __future__ import annotations

import hashlib
import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.plugins._byte_reader import ByteReader
from douane.plugins.convert.arrival import Arrival
from douane.plugins.convert.grains import read_disk
from douane.plugins.formats.vmdk_grains import is_streamable
from douane_guest.headers.vmdk import VmdkHeader
from douane_plugin import Image, Reject
from support.plugin_runs import ChunkSource, TransformReport, cut

DISK = random.Random(1).randbytes(70_000) + bytes(200_000) + b"abc" * 60_000 + bytes(300_080)
NUMBERS = (0, 1, 2, 127, *range(128, 1408, 128), 0xFFFF, 0xFFFFFFFF)
SECTOR = 512


@pytest.fixture(scope="module")
def vmdk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("vmdk")
    (folder / "raw").write_bytes(DISK)
    words = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run([*words, folder / "raw", folder / "made"], check=True)
    return (folder / "made").read_bytes()


def markers(image: bytes) -> list[int]:
    """Where the grains begin."""
    (overhead,) = struct.unpack_from("<Q", image, 64)
    offsets = [overhead * SECTOR]
    while offsets[-1] + 12 <= len(image) and (length := struct.unpack_from("<I", image, offsets[-1] + 8)[0]):
        offsets.append(offsets[-1] + 12 + length + SECTOR - 1 & -SECTOR)
    return offsets[:-1]


def ours(image: bytes, pieces: list[int]) -> str | None:
    """The digest of the disk, None if it is refused, or left to qemu-img."""
    arrival = Arrival(Image({}, ChunkSource(cut(image, pieces)), transforms=TransformReport()))
    match = arrival.match
    if match is None or match.variant != "streamOptimized":
        return None
    header = VmdkHeader(arrival.head(SECTOR))
    if not is_streamable(header) or header.capacity > 1 << 15:
        return None
    digest = hashlib.sha256()
    try:
        for piece in read_disk(ByteReader(arrival), header):
            digest.update(piece)
        arrival.judge(strict=True)
    except Reject:
        return None
    return digest.hexdigest()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str]:
    folder: Path = tmp_path_factory.mktemp("theirs")

    def go(image: bytes) -> str:
        (folder / "image").write_bytes(image)
        words = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", folder / "image", folder / "raw"]
        completed = subprocess.run(words, check=False, capture_output=True)
        if completed.returncode:
            return completed.stderr.decode()
        return hashlib.sha256((folder / "raw").read_bytes()).hexdigest()

    return go


def test_the_disk_is_that_of_the_image(vmdk: bytes, theirs: Callable[[bytes], str]) -> None:
    expected = hashlib.sha256(DISK).hexdigest()
    assert len(DISK) % SECTOR == 0
    assert ours(vmdk, [5000]) == theirs(vmdk) == expected


@given(data=st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_mutant_has_the_disk_of_qemu_img_or_is_refused(
    vmdk: bytes, theirs: Callable[[bytes], str], data: st.DataObject
) -> None:
    image = bytearray(vmdk)
    grains = markers(vmdk)
    for kind in data.draw(
        st.lists(st.sampled_from(["byte", "number", "marker", "swap", "cut"]), min_size=1, max_size=3)
    ):
        sectors = len(image) // SECTOR
        if kind == "byte":
            image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
        elif kind == "number":
            at = data.draw(st.integers(0, min(grains[0], len(image) - 8) // 4 - 1)) * 4
            struct.pack_into("<I", image, at, data.draw(st.sampled_from(NUMBERS)))
        elif kind == "marker":
            at = min(data.draw(st.sampled_from(grains)), len(image) - 8)
            struct.pack_into("<Q", image, at, data.draw(st.sampled_from(NUMBERS)))
        elif kind == "swap":
            first, second = (data.draw(st.integers(0, sectors - 1)) * SECTOR for _ in range(2))
            image[first : first + SECTOR], image[second : second + SECTOR] = (
                image[second : second + SECTOR],
                image[first : first + SECTOR],
            )
        else:
            del image[data.draw(st.integers(4, sectors)) * SECTOR :]
    digest = ours(bytes(image), [4096, 70_000])
    assert digest is None or digest == theirs(bytes(image))
