"""The plugins of the benchmarks, minimal so that the benchmarks measure everything else."""

from __future__ import annotations

import functools
import os
import time

from douane_plugin import Image, Inspector, Reject


class Touch(Inspector):
    """Read a byte of each chunk."""

    def inspect(self, image: Image) -> dict[str, int]:
        """The exclusive or of the first byte of each chunk as a property, a proof that all were read."""
        parity = 0
        for chunk in image:
            parity ^= chunk[0]
        return {"seen": parity}


class RefuseFirstBlock(Inspector):
    """Refuse at the first byte."""

    def inspect(self, image: Image) -> None:
        """Raises Reject on the first chunk."""
        for _ in image:
            raise Reject("first-block", "the benchmark refuses every image at its first block")


class RefuseHead(Inspector):
    """Refuse after the first sector, the only bytes requested."""

    reads = "head:512"

    def inspect(self, image: Image) -> None:
        """Raises Reject after 512 bytes."""
        image.read(512)
        raise Reject("head", "the benchmark refuses every image at its first sector")


class FirstByte(Inspector):
    """Record when the first byte arrived."""

    def inspect(self, image: Image) -> dict[str, int]:
        """`at`: CLOCK_MONOTONIC in ns, the same for every process of a machine (clock_gettime(2))."""
        image.read(1)
        return {"at": time.monotonic_ns()}


class Cling(Inspector):
    """Read a byte of each chunk, and stay if the engine dies."""

    def inspect(self, image: Image) -> None:
        """Does not end when the channel breaks; only the sandbox can end it."""
        try:
            for chunk in image:
                chunk[0]
        except BaseException:
            while True:
                time.sleep(3600)


@functools.cache
def load_model() -> int:
    """What a plugin with a large model does when it loads."""
    time.sleep(1)
    return 1


class Model(Touch):
    """Load for a second, once in a process."""

    def __init__(self) -> None:
        self.model = load_model()


class GuestPackages(Inspector):
    """Ask for the system and its packages."""

    reads = "guest"

    def inspect(self, image: Image) -> dict[str, int]:
        """How many there are, how long it took, and how many bytes of the image were read for it."""
        count = _CountedReads()
        start = time.monotonic()
        packages, system = len(image.guest.packages()), image.guest.os
        took = time.monotonic() - start
        if image.guest.unread or not system:
            raise Reject("unread", "the benchmark's system was not read whole")
        return {"packages": packages, "microseconds": int(took * 1e6), "bytes": count.bytes}


class _CountedReads:
    """Counts what this process reads by pread(2)."""

    def __init__(self) -> None:
        self.bytes = 0
        self._pread = os.pread
        setattr(os, "pread", self.read)  # noqa: B010  # mypy allows no assignment to a module's function

    def read(self, fd: int, count: int, offset: int) -> bytes:
        data = self._pread(fd, count, offset)
        self.bytes += len(data)
        return data


class TouchFiles(Inspector):
    """Read a byte of each chunk of each file."""

    reads = "files"

    def inspect(self, image: Image) -> dict[str, int]:
        """How many entries and bytes there were."""
        entries = size = 0
        for file in image.files():
            entries += 1
            for chunk in file:
                size += len(chunk)
        if image.unread:
            raise Reject("unread", "the benchmark's files were not read whole")
        return {"entries": entries, "bytes": size}
