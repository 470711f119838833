"""The limits of all layers together, and the refusals that decoders share."""

from __future__ import annotations

from douane_plugin import Reject
from douane_plugin._units import show_exact_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from douane.plugins._byte_reader import ByteReader

PIECE_BYTES = 512 << 10
"""With 1 MiB, the allocator gives each piece's pages back to the kernel and faults them in again: 48,000 page faults
where a gzip of 120 MiB was unpacked, and 500 with 512 KiB, which took about a tenth less of the processor."""


class UnpackLimits:
    """The operator's limits, and the count of members so far.

    ``window``: bytes of memory that a decoder may use for what it unpacked before.
    ``members``: how many members, frames or streams there may be, in all layers.
    ``trailing``: True if bytes behind the end only warn.
    ``warn``: takes the code and the message of a warning.
    ``piece``: most bytes that come out of a decoder at once.
    """

    def __init__(
        self,
        *,
        window: int,
        members: int,
        trailing: bool,
        warn: Callable[[str, str], None],
        piece: int = PIECE_BYTES,
    ) -> None:
        self.window = window
        self.members = members
        self.trailing = trailing
        self.piece = piece
        self._warn = warn
        self._warned: set[str] = set()
        self._count = 0

    def warn(self, code: str, message: str) -> None:
        """Warn the tenant, once for each code."""
        if code not in self._warned:
            self._warned.add(code)
            self._warn(code, message)

    def begin_member(self, name: str) -> None:
        """Count a member, frame or stream. Raises Reject if it is one too many."""
        self._count += 1
        if self._count > self.members:
            raise Reject(
                "compressed-members",
                f"the image is compressed with {name} in more than {self.members} parts; compress it in one",
            )

    def check_window(self, name: str, window: int) -> None:
        """Raise Reject if `window` bytes of memory are too much."""
        if window > self.window:
            raise Reject(
                "compressed-window",
                f"unpacking the image with {name} needs {show_exact_size(window)} of memory for its window, and "
                f"{show_exact_size(self.window)} are allowed; compress it again with a smaller one",
            )

    def check_end(self, name: str, source: ByteReader) -> None:
        """Raise Reject if anything but zeros follows the last member.

        Tapes and block devices are filled up with zeros, gzip(1) skips them as well, and nothing hides in them.
        """
        if not source.peek(1):
            return
        if source.skip_zeros() and not source.peek(1):
            self.warn("compressed-padding", f"zeros follow the end of the {name} data; they are no part of the image")
            return
        if not self.trailing:
            raise Reject(
                "compressed-trailing-data",
                f"something follows the end of the {name} data that {name} does not unpack; remove it, or compress "
                "the image again",
            )
        self.warn("compressed-trailing-data", f"what follows the end of the {name} data is no part of the image")


def truncated(name: str) -> Reject:
    """The refusal of data that end too early."""
    return Reject("compressed-truncated", f"the image is cut short: its {name} data is truncated; upload all of it")


def damaged(name: str, detail: str) -> Reject:
    """The refusal of data that cannot be unpacked; `detail` is for people who want to know more."""
    return Reject("compressed-damaged", f"the {name} data of the image are damaged: {detail}; upload it again")


def wrong_checksum(name: str, what: str) -> Reject:
    """The refusal of data that were changed; `what` is the checksum or the length that is wrong."""
    return Reject("compressed-checksum", f"the image is damaged: {what} in its {name} data is wrong; upload it again")


def unsupported(name: str, detail: str) -> Reject:
    """The refusal of data that are legal but not unpacked here; `detail` says what they are and what to do."""
    return Reject("compressed-unsupported", f"the {name} data of the image {detail}")
