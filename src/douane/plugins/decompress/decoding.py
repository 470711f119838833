"""The one loop around all decoders: bounded pieces in, bounded pieces out."""

from __future__ import annotations

from .rules import Rules, truncated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from douane_plugin import Reject

    from .source import Source

    class Decoder(Protocol):
        """What the decompressors of Python's modules and of the others have in common."""

        @property
        def eof(self) -> bool: ...

        @property
        def needs_input(self) -> bool: ...

        @property
        def unused_data(self) -> bytes | None: ...

        def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


FIRST_INPUT, MOST_INPUT = 1 << 10, 64 << 10
"""Bytes of a member's first input, and of its largest. What a member does not need of its input is copied at its end:
with 64 KiB from the start, an image of members of 20 bytes would be copied three thousand times. More than 64 KiB is
not faster, and isal moves what it could not use yet at each call."""


def decode(
    decoder: Decoder, source: Source, rules: Rules, name: str, explain: Callable[[Exception], Reject]
) -> Iterator[bytes]:
    """Yield what `decoder` makes of `source` up to the end of its member; what follows that is put back.

    `explain` turns what the library raises into a refusal. Raises Reject.
    """
    most = FIRST_INPUT
    idle = False
    while not decoder.eof:
        data = b""
        if decoder.needs_input:
            data = bytes(source.take(most))
            most = min(most * 4, MOST_INPUT)
            if not data:
                raise truncated(name)
        try:
            made = decoder.decompress(data, rules.piece)
        except MemoryError:
            raise  # the operator's memory and window do not fit together: no fault of the image
        except Exception as error:  # each library has its own, and some have several
            raise explain(error) from error
        if made:
            yield made
        elif not data:
            if idle:
                raise truncated(name)  # neither takes nor gives anything: no library should, and none may hang us
            idle = True
            continue
        idle = False
    if decoder.unused_data:
        source.put_back(decoder.unused_data)
