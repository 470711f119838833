"""qcow2 images with a history of writes, and their disks as qemu-img and as Douane read them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from hypothesis import strategies as st

from douane.plugins.convert import qcow2_disk

SIZE = 3 << 20
WRITES = st.lists(
    st.tuples(
        st.sampled_from(["write -P 0x5a", "write -P 0xa5", "write -z", "write -z -u", "discard", "snapshot"]),
        st.integers(0, SIZE // 512 - 1),
        st.integers(1, 700),
    ),
    max_size=12,
)


def write_qcow2(path: Path, options: str, writes: list[tuple[str, int, int]], size: int = SIZE) -> None:
    """Make an image with qemu-img, and write to it with qemu-io."""
    path.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", options, str(path), str(size)], check=True)
    for number, (what, sector, sectors) in enumerate(writes):
        if what == "snapshot":
            subprocess.run(["qemu-img", "snapshot", "-c", str(number), str(path)], check=True)
        else:
            length = min(sectors * 512, size - sector * 512)
            words = f"{what} {sector * 512} {length}"
            command = ["qemu-io", "-f", "qcow2", "-c", words, str(path)]
            completed = subprocess.run(command, check=True, capture_output=True)
            assert b"rror" not in completed.stdout, completed.stdout


def by_qemu(path: Path) -> bytes:
    """The disk as qemu-img reads it."""
    out = path.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(path), str(out)], check=True)
    return out.read_bytes()


def by_douane(path: Path, size: int = SIZE) -> bytes | None:
    """The disk as Douane reads it; None if it leaves the image to qemu-img."""
    fd = os.open(path, os.O_RDONLY)
    try:
        disk = qcow2_disk.read_disk(fd, size)
        return None if disk is None else b"".join(bytes(piece) for piece in disk)
    finally:
        os.close(fd)
