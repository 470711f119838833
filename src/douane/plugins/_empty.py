"""Images without bytes: the one kind that may be meant."""

from __future__ import annotations

from douane_plugin import Reject

from ._image_format import DISK_FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image


def no_bytes() -> Reject:
    """The refusal of an image without bytes."""
    return Reject("empty", "the image is empty: not a single byte arrived; upload it again")


def may_be_empty(image: Image) -> bool:
    """True for an image that is declared as the bare bytes of a disk: of every other format, no bytes are too few.

    Nova registers the snapshot of a server that boots from a volume as such an image, with the volume's snapshot in its
    properties.
    """
    is_raw = image.disk_format is not None and DISK_FORMATS.get(image.disk_format) == "raw"
    return is_raw and image.container_format in (None, "bare")
