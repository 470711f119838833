"""An image that is examined as it arrives: its beginning shows the format, and its end makes the format certain."""

from __future__ import annotations

from douane.plugins._image_format import QEMU_DRIVERS, ImageFormat
from douane.plugins.format import compare_declared
from douane.plugins.formats.base import REFUSE
from douane.plugins.formats.codes import CODES, sentence
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.registry import FORMATS
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane.plugins.formats.match import Match
    from douane_plugin import Image

OTHER_FILES = ("backing-file", "data-file", "external-extent", "parent", "descriptor")
"""Findings that say that a part of the disk is in another file."""

UNKNOWN = ("unknown-feature", "version", "subformat", "ambiguous", "log", "out-of-order", "reader-failed")
"""Findings that say that qemu-img could read the image in another way, or that it was not examined."""

HARMLESS = ("unaligned-size",)
"""Findings that qemu-img handles: it pads the disk to a sector."""


class Arrival:
    """An iterable of the bytes of `image`, in order, each of which has been examined when it comes.

    Pieces are views that are valid until the next piece is asked for.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._declared = image.disk_format, image.container_format
        self._head: list[bytes] = []
        self.examination = Examination(FORMATS, image.size)
        for chunk in image:
            self._head.append(bytes(chunk))
            self.examination.feed(memoryview(self._head[-1]))
            if self.examination.recognised:
                break
        else:
            self.examination.finish()

    def __iter__(self) -> Iterator[bytes | memoryview]:
        head, self._head = self._head, []
        yield from head
        if not self.examination.ended:
            for chunk in self._image:
                self.examination.feed(chunk)
                yield chunk
            self.examination.finish()

    @property
    def match(self) -> Match | None:
        """The match of the image's format, so far; None for bytes without any structure."""
        return ImageFormat(self.examination).match

    @property
    def variant(self) -> str:
        """The variant of the image's format, so far."""
        return self.match.variant if self.match else ""

    @property
    def disk_format(self) -> str | None:
        """Glance's name of the disk format, so far; None for images that are no disks."""
        match = self.match
        if match is None or match.kind == "content":
            return "raw"
        return match.disk_format if match.kind == "disk" else None

    @property
    def disk_size(self) -> int | None:
        """Bytes of the disk, by the reader of its format; certain at the end. None if the header states none."""
        match = self.match
        if match is None or QEMU_DRIVERS.get(match.disk_format) == "raw":
            return self.examination.position
        return match.virtual_size

    def head(self, count: int) -> bytes:
        """The first `count` bytes, fewer if the image is shorter. Call it before the iteration."""
        return b"".join(self._head)[:count]

    def judge(self, *, strict: bool = False) -> None:
        """Raise Reject if the whole image differs from what was declared, or must not be converted.

        `format` has the same findings, and the operator may let them pass there, as the image stays what it is. But
        qemu-img reads bytes behind the end of a file as zeros, and ends with status 0: a truncated image would become
        another disk, and nothing would show it. With `strict`, every table must have been examined.
        """
        for finding in self.examination.findings:
            if finding.code in OTHER_FILES:
                raise Reject("convert-other-files", f"the image cannot be converted: {sentence(finding)}")
            if finding.code == "encrypted":
                raise Reject("convert-encrypted", "the image is encrypted and cannot be converted; decrypt it first")
        compare_declared(*self._declared, ImageFormat(self.examination))
        for finding in self.examination.findings:
            worth, _ = CODES[finding.code]
            if finding.code in HARMLESS or (worth != REFUSE and not (strict and finding.code == "unchecked")):
                continue
            code = "convert-unsupported" if finding.code in UNKNOWN else "convert-damaged"
            raise Reject(code, f"the image cannot be converted: {sentence(finding)}")
