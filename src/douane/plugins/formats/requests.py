"""Requests that the reader of a format yields; the examination sends the answer once the bytes have arrived."""

MOST_BYTES = 1 << 20
"""The longest piece that can be asked for at once; a longer table is read in pieces, one after the other."""

TAIL_BYTES = 1 << 17
"""How much of the end is kept: a zip's directory may end 64 KiB before it, a GPT's copy takes 17 to 34 KiB."""


class Bytes:
    """`length` bytes at `offset`: sent as ``bytes``.

    `what` names them in a finding ("the L1 table"). If the image ends before, the reader is ended with the finding
    ``truncated``; with `short` it is sent what there is instead. If they have gone by already and are not among the
    first megabyte, which is kept, the reader is ended with the finding ``out-of-order``, which is refused; without
    `essential` with ``unchecked``, which is not.
    """

    __slots__ = ("essential", "length", "offset", "short", "what")

    def __init__(self, offset: int, length: int, what: str, *, short: bool = False, essential: bool = True) -> None:
        if not 0 <= length <= MOST_BYTES or offset < 0:
            raise ValueError(f"{length} bytes at {offset} cannot be asked for")
        self.offset, self.length, self.what = offset, length, what
        self.short, self.essential = short, essential


class Tail:
    """The last `length` bytes, at most :data:`TAIL_BYTES`, fewer if the image is shorter: sent as ``bytes``.

    They come when the image has ended, so :attr:`Match.total` is known then.
    """

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        if not 0 <= length <= TAIL_BYTES:
            raise ValueError(f"the last {length} bytes cannot be asked for")
        self.length = length


class Inside:
    """`length` bytes at `offset` are an image of their own, called `name`: sent as the ended ``Examination`` of it.

    A range that has begun to go by unseen, or that the image ends in, is treated as for :class:`Bytes`.
    """

    __slots__ = ("length", "name", "offset")

    def __init__(self, offset: int, length: int, name: str) -> None:
        if offset < 0 or length < 0:
            raise ValueError(f"{length} bytes at {offset} cannot be looked into")
        self.offset, self.length, self.name = offset, length, name


class Assembled:
    """An image whose bytes are scattered in this one: sent at once as a new examination, which the reader feeds.

    `size` is its length in bytes, None if that is not known yet. Archives in it are not opened.
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
