"""The plugins of the benchmarks: as small as plugins get, so that what is measured is everything else."""

from __future__ import annotations

import time

from douane_plugin import Image, Inspector, Reject


class Touch(Inspector):
    """Look into each chunk, and keep nothing."""

    def inspect(self, image: Image) -> dict[str, int]:
        """The exclusive or of the first byte of each chunk, as a property: proof that it looked."""
        seen = 0
        for chunk in image:
            seen ^= chunk[0]
        return {"seen": seen}


class RefuseFirstBlock(Inspector):
    """Refuse as soon as there is anything to see."""

    def inspect(self, image: Image) -> None:
        """Raises Reject on the first chunk."""
        for _ in image:
            raise Reject("first-block", "the benchmark refuses every image at its first block")


class RefuseHead(Inspector):
    """Refuse after the first sector, having asked for no more."""

    reads = "head:512"

    def inspect(self, image: Image) -> None:
        """Raises Reject after 512 bytes."""
        image.read(512)
        raise Reject("head", "the benchmark refuses every image at its first sector")


class FirstByte(Inspector):
    """Tell when the first byte arrived."""

    def inspect(self, image: Image) -> dict[str, int]:
        """`at`: CLOCK_MONOTONIC in ns, the same for every process of a machine (clock_gettime(2))."""
        image.read(1)
        return {"at": time.monotonic_ns()}


class Cling(Inspector):
    """Look into each chunk; and if the engine dies, stay."""

    def inspect(self, image: Image) -> None:
        """Never ends by itself when the channel breaks: only the sandbox can see to it."""
        try:
            for chunk in image:
                chunk[0]
        except BaseException:
            while True:
                time.sleep(3600)
