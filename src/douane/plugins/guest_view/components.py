"""What `douane sbom` runs: the systems and packages of a guest, as components of a bill of materials."""

from __future__ import annotations

import json

from douane_guest.sbom import components_of
from douane_plugin import Transform

from .opened import documented, open_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane_plugin import Image


class Components(Transform):
    """The output has a line of JSON for each component. The document ``unread`` has what could not be read.

    With `everywhere` packages of languages are looked for in all folders.
    """

    reads = "random"

    def __init__(self, everywhere: bool = False, unpacked: bool = False) -> None:
        self.everywhere = everywhere
        self.unpacked = unpacked

    def transform(self, image: Image) -> Iterator[bytes]:
        """Yield the lines."""
        guest = open_image(image, unpacked=self.unpacked)
        for component in components_of(guest, everywhere=self.everywhere):
            self.alive()
            yield json.dumps(component).encode() + b"\n"
        self.attach("unread", documented(guest.unread))
