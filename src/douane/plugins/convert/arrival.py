"""An image as it arrives, examined on the way: what it is, is known by its beginning, and is certain at its end."""

from __future__ import annotations

from douane.plugins._image_format import ImageFormat
from douane.plugins.format import compare_declared
from douane.plugins.formats.base import REFUSE
from douane.plugins.formats.codes import CODES
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.registry import FORMATS
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins.formats.match import Match
    from douane_plugin import Image

OTHER_FILES = ("backing-file", "data-file", "external-extent", "parent", "descriptor")
"""Findings that mean that a part of the disk is said to stand elsewhere."""

UNKNOWN = ("unknown-feature", "version", "subformat", "ambiguous", "log", "out-of-order", "reader-failed")
"""Findings that mean that qemu-img could read it in another way than it was meant, or that nobody has looked."""

HARMLESS = ("unaligned-size",)
"""What qemu-img reads well: the end of the disk is filled up to a sector."""


class Arrival:
    """The bytes of `image`, in order, by iteration; each has been examined when it comes.

    Pieces are views that are valid until the next is asked for.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._declared = image.disk_format, image.container_format
        self._begun: list[bytes] = []
        self.examination = Examination(FORMATS, image.size)
        for chunk in image:
            self._begun.append(bytes(chunk))
            self.examination.feed(memoryview(self._begun[-1]))
            if self.examination.recognised:
                break
        else:
            self.examination.finish()

    def __iter__(self) -> Iterator[bytes | memoryview]:
        begun, self._begun = self._begun, []
        yield from begun
        if not self.examination.ended:
            for chunk in self._image:
                self.examination.feed(chunk)
                yield chunk
            self.examination.finish()

    @property
    def match(self) -> Match | None:
        """What it is taken for, as far as has arrived; None for bytes without any structure."""
        return ImageFormat(self.examination).match

    def format(self) -> str | None:
        """The disk format, in Glance's terms, by what has arrived; None for what is no disk."""
        match = self.match
        if match is None or match.kind == "content":
            return "raw"
        return match.disk_format if match.kind == "disk" else None

    def head(self, count: int) -> bytes:
        """The first `count` bytes, fewer if the image is shorter; before any of it was iterated."""
        return b"".join(self._begun)[:count]

    def judge(self, *, strictly: bool = False) -> None:
        """Now that all has arrived: raise Reject for what is not what was declared, and what is not to be converted.

        `format` finds the same, and the operator may have it pass there, where the image stays what it is. But
        qemu-img reads what stands behind the end of a file as zeros, and ends with status 0: an image that was cut
        short would become another disk, and nothing could tell any more. `strictly`: all of it must have been seen.
        """
        for finding in self.examination.findings:
            if finding.code in OTHER_FILES:
                raise Reject("convert-other-files", f"the image cannot be converted: {CODES[finding.code][1]}")
            if finding.code == "encrypted":
                raise Reject("convert-encrypted", "the image is encrypted and cannot be converted; decrypt it first")
        compare_declared(*self._declared, ImageFormat(self.examination))
        for finding in self.examination.findings:
            worth, words = CODES[finding.code]
            if finding.code in HARMLESS or (worth != REFUSE and not (strictly and finding.code == "unchecked")):
                continue
            code = "convert-unsupported" if finding.code in UNKNOWN else "convert-damaged"
            raise Reject(code, f"the image cannot be converted: {words}")
