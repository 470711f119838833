"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "fixed-vhd"
    use = "plugins/fixed_vhd.py:FixedVhd"

Shows a transform: ``transform`` is a generator that reads one image and yields another. A VHD of fixed size is a raw
disk with a footer of 512 bytes behind it. Which bytes are the last is known only when no more come, so that many are
held back.

It also shows when to do nothing: ``image.unchanged()`` before the first yield costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_plugin import Image, Incomplete, Reject, Transform

FOOTER = 512
COOKIE = b"conectix"
FIXED = 2


class FixedVhd(Transform):
    """Make a raw disk of what is declared as `vhd` or `vpc` and has a fixed size, by taking its footer away."""

    def transform(self, image: Image) -> Iterator[bytes | memoryview]:
        if image.disk_format not in ("vhd", "vpc"):
            image.unchanged()
            return
        held = image.read(FOOTER)
        if held.startswith(COOKIE):  # a copy of the footer: dynamic or differencing, which is not so easily made raw
            image.unchanged()
            return
        if len(held) < FOOTER:
            raise Incomplete(
                "vhd-cut-off", "the image is shorter than the footer of a VHD; upload it again, as a whole"
            )
        image.becomes(disk_format="raw")
        for chunk in image:
            if len(chunk) >= FOOTER:
                yield held
                yield chunk[:-FOOTER]
                held = bytes(chunk[-FOOTER:])
            else:
                held += chunk
                yield held[:-FOOTER]
                held = held[-FOOTER:]
        check_footer(held)


def check_footer(footer: bytes) -> None:
    """Raise Incomplete or Reject unless `footer` is that of a VHD of fixed size.

    What was yielded before is not let in then. Source: Virtual Hard Disk Image Format Specification, "Hard Disk Footer
    Format".
    """
    if not footer.startswith(COOKIE):
        raise Incomplete(
            "vhd-no-footer", "the image is declared as a VHD and does not end like one; upload it again, as a whole"
        )
    kind, checksum = struct.unpack_from(">II", footer, 60)
    if checksum != ~sum(footer[:64] + footer[68:]) & 0xFFFFFFFF:
        raise Reject("vhd-damaged", "the footer of the VHD is damaged; make the image anew")
    if kind != FIXED:
        raise Reject("vhd-not-fixed", "the VHD has no fixed size and no header; make the image anew, with a fixed size")
