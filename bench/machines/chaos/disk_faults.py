"""A full disk below a store."""

from __future__ import annotations

import contextlib

from bench.harness import MiB

from .faults import Fault


class FillDisk(Fault):
    """The file system of the shared folder has no byte left for a while."""

    name = "full disk"
    part = "disk"

    def strike(self) -> None:
        """See the class."""
        filler = self.site.shared / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(MiB))
        self.last(self.chance.uniform(3, 8))
        filler.unlink()
        self.last(5.0)
