"""What each format's module provides: how it is recognised, and a reader of its structures."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

HEAD_BYTES = 72 << 10
"""The first bytes, by which formats are recognised: the last of them are btrfs' superblock at 64 KiB, and UDF's
volume recognition sequence, which ends by then in every image that was seen."""


class Format:
    """A format, as its subclass knows it. Instances have no state: an image's goes into the :class:`Match`.

    `name`, `disk_format` and `kind` as in :class:`Match`; a reader may set more precise ones in its look.
    """

    name = ""
    disk_format = "raw"
    kind = "disk"

    def begins(self, head: bytes) -> bool:
        """True if an image that begins with `head` can be read as this format by some program that is in use.

        `head` has :data:`HEAD_BYTES` bytes, fewer if the image is shorter, which may be 0.
        """
        return False

    def ends(self, tail: bytes, total: int) -> bool:
        """As :meth:`begins`, for formats that are recognised by their end; `tail` is the last
        :data:`requests.TAIL_BYTES` bytes of `total`. Asked only where `begins` said no."""
        return False

    def read(self, match: "Match") -> "Reader":
        """A generator that yields wants, and fills in `match`. For a format of :meth:`ends` it begins at the end."""
        raise NotImplementedError
