"""What an examination comes to, in the terms of an image service: disk format, container format, size of the disk."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .formats.examination import Examination
    from .formats.match import Look

SAME = {"vpc": "vhd", "parallels": "ploop", "ami": "raw", "aki": "raw", "ari": "raw", "gpt": "raw", "mbr": "raw"}
"""Other names of disk formats, and the one that is used here."""

COMPRESSED = ("gzip", "xz", "zstd", "bzip2", "lz4", "lzma")


class Found:
    """See the module. Reads what an examination has so far; at its end, all is known that can be."""

    def __init__(self, examination: Examination) -> None:
        self._examination = examination

    @property
    def look(self) -> Look | None:
        """The format that tools take the image for; None for bytes without any structure."""
        looks = self._examination.looks
        return looks[0] if looks else None

    @property
    def name(self) -> str:
        """What it is, as precisely as can be told: ``gpt``, ``vmdk-descriptor``, ``luks2``; ``raw`` if nothing."""
        return self.look.name if self.look else "raw"

    @property
    def disk_format(self) -> str:
        """What it is in Glance's terms; ``raw`` for archives and compressed data, whose disk is inside."""
        return self.look.disk_format if self.look and self.look.kind != "content" else "raw"

    @property
    def listed_as(self) -> str:
        """The name by which a list of allowed formats has it: the disk format, or what an archive is packed with."""
        look = self.look
        if look is None or look.kind == "content":
            return "raw"
        return look.disk_format if look.kind == "disk" else look.name

    @property
    def container_format(self) -> str | None:
        """``bare`` or ``ova``; None where it cannot be told: nothing but bytes, and what is packed."""
        look = self.look
        if look is None:
            return None
        if look.name == "ova":
            return "ova"
        if look.kind == "disk" or look.name in ("mbr", "gpt"):
            return "bare"
        return None

    @property
    def partition_table(self) -> str | None:
        """``gpt`` or ``mbr``, also that of a hybrid ISO image."""
        names = [look.name for look in self._examination.looks]
        return next((name for name in ("gpt", "mbr") if name in names), None)

    @property
    def virtual_size(self) -> int | None:
        """Bytes of the disk that a guest sees. That of a raw disk is known when it has ended."""
        look = self.look
        if look is None or look.kind in ("content", "other"):
            return self._examination.position if self._examination.ended else None
        return look.virtual_size
