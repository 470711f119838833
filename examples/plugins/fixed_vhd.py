"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "fixed-vhd"
    use = "plugins/fixed_vhd.py:FixedVhd"

Shows a transform: ``transform`` is a generator that reads one image and yields another. A VHD of fixed size is a raw
disk with a footer of 512 bytes. Only the end of the image shows which bytes are the last, so the plugin always holds
512 bytes back.

It also shows how to leave an image as it is, at no cost: ``image.unchanged()`` before the first yield.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from douane_plugin import Image, Incomplete, Reject, Transform

FOOTER = 512
COOKIE = b"conectix"
FIXED = 2


class FixedVhd(Transform):
    """Make a raw disk of an image of fixed size that is declared as `vhd` or `vpc`, by removing its footer."""

    def transform(self, image: Image) -> Iterator[bytes | memoryview]:
        if image.disk_format not in ("vhd", "vpc"):
            image.unchanged()
            return
        tail = image.read(FOOTER)
        if tail.startswith(COOKIE):  # a copy of the footer: a dynamic or differencing disk
            image.unchanged()
            return
        if len(tail) < FOOTER:
            raise Incomplete(
                "vhd-cut-off", "the image is shorter than the footer of a VHD; upload it again, as a whole"
            )
        image.becomes(disk_format="raw")
        for chunk in image:
            if len(chunk) >= FOOTER:
                yield tail
                yield chunk[:-FOOTER]
                tail = bytes(chunk[-FOOTER:])
            else:
                tail += chunk
                yield tail[:-FOOTER]
                tail = tail[-FOOTER:]
        check_footer(tail)


def check_footer(footer: bytes) -> None:
    """Raise Incomplete or Reject unless `footer` is that of a VHD of fixed size.

    The bytes yielded so far are then discarded. Source: Virtual Hard Disk Image Format Specification, "Hard Disk Footer
    Format".
    """
    if not footer.startswith(COOKIE):
        raise Incomplete(
            "vhd-no-footer", "the image is declared as a VHD, and has no footer; upload it again, as a whole"
        )
    kind, checksum = struct.unpack_from(">II", footer, 60)
    if checksum != ~sum(footer[:64] + footer[68:]) & 0xFFFFFFFF:
        raise Reject("vhd-damaged", "the footer of the VHD is damaged; make the image again")
    if kind != FIXED:
        raise Reject("vhd-not-fixed", "the VHD has neither a fixed size nor a header; make it again, with a fixed size")
