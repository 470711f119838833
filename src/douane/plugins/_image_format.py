"""The format of an image in the terms of an image service: disk format, container format, size of the disk."""

from __future__ import annotations

from .formats.base import Format
from .formats.registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .formats.examination import Examination
    from .formats.match import InnerExamination, Match


def _detected_as(form: Format) -> str:
    return "raw" if form.kind == "content" else form.disk_format


def _listed_as(form: Format) -> tuple[str, ...]:
    if form.kind == "content":
        return ()
    return (form.disk_format,) if form.kind == "disk" else (form.name, *(name for name, _ in form.other_names))


_BY_KIND = sorted(FORMATS, key=lambda form: ("disk", "archive", "compressed", "other", "content").index(form.kind))

DISK_FORMATS = {
    "raw": "raw",
    "ami": "raw",
    **{name: _detected_as(form) for form in FORMATS for name in form.declared_as},
}
"""The disk formats that a sender can declare, and what an image of each is detected as."""

LISTABLE = ("raw", *dict.fromkeys(name for form in _BY_KIND for name in _listed_as(form)))
"""Names in a list of allowed formats: of a disk its disk format, of anything else its own names."""

ALLOWED = ("raw", *dict.fromkeys(name for form in _BY_KIND if form.allowed for name in _listed_as(form)))
"""The names that are allowed by default."""

UNPACKED = tuple(form.name for form in FORMATS if form.decoder or form.kind == "compressed")
"""The formats that `decompress` unpacks: the compressions, and zip."""

QEMU_DRIVERS = {"raw": "raw"} | {form.disk_format: form.qemu_driver for form in FORMATS if form.qemu_driver}
"""Disk formats that `convert` reads, and the drivers of qemu-img for them."""


class ImageFormat:
    """The format by `examination`, as far as the image has arrived; complete when it has ended."""

    def __init__(self, examination: Examination | InnerExamination) -> None:
        self._examination = examination

    @property
    def match(self) -> Match | None:
        """The format that tools take the image for; None for bytes without any structure."""
        matches = self._examination.matches
        return matches[0] if matches else None

    @property
    def name(self) -> str:
        """The most precise name: ``gpt``, ``vmdk-descriptor``, ``luks2``; ``raw`` for bytes without any structure."""
        return self.match.name if self.match else "raw"

    @property
    def disk_format(self) -> str:
        """Glance's name; ``raw`` for archives and compressed data, whose disk is inside."""
        return self.match.disk_format if self.match and self.match.kind != "content" else "raw"

    @property
    def listed_as(self) -> str:
        """The name in a list of allowed formats: of a disk its disk format, of anything else its own name."""
        match = self.match
        if match is None or match.kind == "content":
            return "raw"
        return match.disk_format if match.kind == "disk" else match.name

    @property
    def container_format(self) -> str | None:
        """``bare`` or ``ova``; None for bytes without structure, other archives, and compressed data."""
        match = self.match
        if match is None:
            return None
        if match.name == "ova":
            return "ova"
        if match.kind == "disk" or match.name in ("mbr", "gpt"):
            return "bare"
        return None

    @property
    def partition_table(self) -> str | None:
        """``gpt`` or ``mbr``, also of a hybrid ISO image."""
        names = [match.name for match in self._examination.matches]
        return next((name for name in ("gpt", "mbr") if name in names), None)

    @property
    def virtual_size(self) -> int | None:
        """Bytes of the disk that a guest sees; None while unknown. The size of a raw disk is known at its end."""
        return self._examination.virtual_size
