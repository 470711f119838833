"""What `image.guest` and `image.files()` have in common: volumes, and the parts that could not be read."""

from __future__ import annotations

from ._exceptions import Incomplete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence


class Volume:
    """A volume of the image's disk: a file system in its place.

    `name` is the place (``p1``, ``vg/lv``, ``md/0``, or ``disk`` without partitions), `filesystem` the kernel's word
    (``ext4``), `uuid` and `label` are as blkid(8) shows them, empty if there are none: all str. `clean` is False if the
    file system was not unmounted, True if it was, None if it does not tell.
    """

    __slots__ = ("clean", "filesystem", "label", "name", "uuid")

    def __init__(self, name: str, filesystem: str, uuid: str, label: str, clean: Optional[bool]) -> None:
        self.name = name
        self.filesystem = filesystem
        self.uuid = uuid
        self.label = label
        self.clean = clean

    def __repr__(self) -> str:
        return f"<volume {self.name}: {self.filesystem}>"


class UnreadPart:
    """A part of the image that could not be read.

    `place` is where it is (``p2``, ``p1:/etc/shadow``), `code` the kind of the obstacle for programs
    (``guest-broken``, ``guest-encrypted``, ``guest-unclean``, ``guest-unknown``, ``guest-too-much``), `why` a sentence.
    """

    __slots__ = ("code", "place", "why")

    def __init__(self, place: str, code: str, why: str) -> None:
        self.place = place
        self.code = code
        self.why = why

    def __repr__(self) -> str:
        return f"<unread: {self.place}: {self.code}: {self.why}>"


def unread_answer(parts: Sequence[UnreadPart]) -> Incomplete:
    """Return the answer in the place of an accept by a plugin that has not asked for these parts, one or more."""
    first = parts[0]
    count = "1 part" if len(parts) == 1 else f"{len(parts)} parts"
    return Incomplete(
        first.code,
        f"{count} of the image could not be read, and the check did not ask for that; "
        f"{'it is' if len(parts) == 1 else 'the first is'} {part_text(first.place, first.why)}",
    )


def part_text(place: str, why: str) -> str:
    """Return the place and the reason of an unread part as text for a person."""
    return printable(f"{place}: {why}" if place else why)


def printable(text: str) -> str:
    """Return text of an image with bytes that are not UTF-8 as Python writes them: ``caf\\xe9``."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a surrogate pair that is no such byte
        return text.encode("utf-8", "backslashreplace").decode()
