"""What an examination comes to, in the terms of an image service: disk format, container format, size of the disk."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .formats.examination import Examination
    from .formats.match import InnerExamination, Match

SAME = {"vpc": "vhd", "parallels": "ploop", "ami": "raw", "aki": "raw", "ari": "raw", "gpt": "raw", "mbr": "raw"}
"""Other names of disk formats, and the one that is used here."""

COMPRESSED = ("gzip", "xz", "zstd", "bzip2", "lz4", "lzma")


class ImageFormat:
    """See the module. Reads what an examination has so far; at its end, all is known that can be."""

    def __init__(self, examination: Examination | InnerExamination) -> None:
        self._examination = examination

    @property
    def match(self) -> Match | None:
        """The format that tools take the image for; None for bytes without any structure."""
        matches = self._examination.matches
        return matches[0] if matches else None

    @property
    def name(self) -> str:
        """What it is, as precisely as can be told: ``gpt``, ``vmdk-descriptor``, ``luks2``; ``raw`` if nothing."""
        return self.match.name if self.match else "raw"

    @property
    def disk_format(self) -> str:
        """What it is in Glance's terms; ``raw`` for archives and compressed data, whose disk is inside."""
        return self.match.disk_format if self.match and self.match.kind != "content" else "raw"

    @property
    def listed_as(self) -> str:
        """The name by which a list of allowed formats has it: the disk format, or what an archive is packed with."""
        match = self.match
        if match is None or match.kind == "content":
            return "raw"
        return match.disk_format if match.kind == "disk" else match.name

    @property
    def container_format(self) -> str | None:
        """``bare`` or ``ova``; None where it cannot be told: nothing but bytes, and what is packed."""
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
        """``gpt`` or ``mbr``, also that of a hybrid ISO image."""
        names = [match.name for match in self._examination.matches]
        return next((name for name in ("gpt", "mbr") if name in names), None)

    @property
    def virtual_size(self) -> int | None:
        """Bytes of the disk that a guest sees. That of a raw disk is known when it has ended."""
        match = self.match
        if match is None or match.kind in ("content", "other"):
            return self._examination.position if self._examination.ended else None
        return match.virtual_size
