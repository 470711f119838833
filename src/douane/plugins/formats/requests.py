"""Requests that the reader of a format yields; the examination sends the answer once the bytes have arrived."""

MAX_BYTES = 1 << 20
"""The longest piece of one request; a longer table is read piece by piece."""

START_BYTES = 1 << 20
"""The first bytes of an image are kept, and can be requested at any time: some formats have tables before the header
that points to them, and some readers start late."""

HEAD_BYTES = 72 << 10
"""The first bytes of an image, by which formats are recognised. The last of them are the superblock of btrfs at 64 KiB
and the volume recognition sequence of UDF, which ends before 72 KiB in every known image."""

TAIL_BYTES = 1 << 17
"""The last bytes are kept, too: a zip's directory may start 64 KiB before the end, a GPT's copy takes 17 to 34 KiB."""


NO_END = "its end is missing, or bytes follow it: upload it again, as it was made"
"""What helps if an image does not end with the structure with which its format ends."""


class Bytes:
    """`length` bytes at `offset`: answered with ``bytes``.

    `what` names the bytes in a finding ("the L1 table"). If the image ends before the last of them, the reader is
    closed with the finding ``truncated``; a `short` request is answered with fewer bytes instead. If the bytes have
    passed and are beyond :data:`START_BYTES`, the reader is closed with the finding ``out-of-order``, which refuses
    the image, or ``unchecked``, which does not, if the bytes are not `essential`.
    """

    __slots__ = ("essential", "length", "offset", "short", "what")

    def __init__(self, offset: int, length: int, what: str, *, short: bool = False, essential: bool = True) -> None:
        if not 0 <= length <= MAX_BYTES or offset < 0:
            raise ValueError(f"cannot request {length} bytes at {offset}")
        self.offset, self.length, self.what = offset, length, what
        self.short, self.essential = short, essential


class Tail:
    """The last `length` bytes, at most :data:`TAIL_BYTES`: answered with ``bytes``, fewer if the image is shorter.

    The answer comes when the image has ended, so that :attr:`Match.total` is known.
    """

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        if not 0 <= length <= TAIL_BYTES:
            raise ValueError(f"cannot request the last {length} bytes")
        self.length = length


class Inside:
    """`length` bytes at `offset` are an image of their own, called `name`: answered with its ended ``Examination``.

    If the range has begun to pass, or the image ends in it, the reader is closed as for :class:`Bytes`.
    """

    __slots__ = ("length", "name", "offset")

    def __init__(self, offset: int, length: int, name: str) -> None:
        if offset < 0 or length < 0:
            raise ValueError(f"cannot examine {length} bytes at {offset}")
        self.offset, self.length, self.name = offset, length, name


class Assembled:
    """An image whose bytes are scattered in this one: answered at once with an ``Examination`` for the reader to feed.

    `size` is its length in bytes, None if unknown. Archives in it are not opened.
    """

    __slots__ = ("size",)

    def __init__(self, size: "int | None") -> None:
        self.size = size


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    Request = Bytes | Tail | Inside
    Reader = Generator[Request | Assembled, Any, None]
