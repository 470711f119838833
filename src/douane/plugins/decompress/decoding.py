"""Reading headers with the readers of `formats`, and the one loop around all decoders."""

from __future__ import annotations

from douane.plugins.formats.compression import HeaderError
from douane.plugins.formats.skippable import HEADER_BYTES, is_skippable, length_of

from .limits import UnpackLimits, damaged, truncated, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Protocol, TypeVar

    from douane.plugins._byte_reader import ByteReader
    from douane.plugins.formats.requests import Bytes
    from douane.plugins.ova.file_reader import FileReader
    from douane_plugin import Reject

    Header = TypeVar("Header")

    class Decoder(Protocol):
        """What the decompressors of Python's modules and of the others have in common."""

        @property
        def eof(self) -> bool: ...

        @property
        def needs_input(self) -> bool: ...

        @property
        def unused_data(self) -> bytes | None: ...

        def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


FIRST_INPUT, MAX_INPUT = 1 << 10, 64 << 10
"""Bytes of a member's first input, and of its largest. What a member does not need of its input is copied at its end:
with 64 KiB from the start, an image of members of 20 bytes would be copied three thousand times. More than 64 KiB is
not faster, and isal moves what it could not use yet at each call."""


MAX_HEADER_BYTES = 1 << 20
"""How far a header is followed: skippable frames at the beginning may have any length."""


def read_header(source: ByteReader | FileReader, steps: Generator[Bytes, bytes, Header], name: str) -> Header:
    """Run `steps`, a header reader of `formats`, on what comes next in `source`; consume nothing. Raises Reject."""
    data = b""
    try:
        request = next(steps)
        while True:
            end = request.offset + request.length
            if end > MAX_HEADER_BYTES:
                raise unsupported(name, "begin with more than 1 MiB of headers; compress it again")
            if end > len(data):
                data = source.peek(max(end, min(2 * len(data), MAX_HEADER_BYTES)))
            if end > len(data) and not request.short:
                raise truncated(name)
            request = steps.send(data[request.offset : end])
    except StopIteration as stop:
        header: Header = stop.value
        return header
    except HeaderError as error:
        raise truncated(name) if error.code == "truncated" else damaged(name, str(error)) from error


def skip_frames(source: ByteReader, limits: UnpackLimits, name: str) -> None:
    """Pass over all skippable frames that come next. Raises Reject."""
    while is_skippable(source.peek(4)):
        limits.begin_member(name)
        header = source.peek(HEADER_BYTES)
        if len(header) < HEADER_BYTES or not source.skip(length_of(header)):
            raise truncated(name)


def decode(
    decoder: Decoder, source: ByteReader, limits: UnpackLimits, name: str, explain: Callable[[Exception], Reject]
) -> Iterator[bytes]:
    """Yield the output of `decoder` up to the end of its member; put back what follows in `source`.

    `explain` turns an error of the library into a refusal. Raises Reject.
    """
    input_bytes = FIRST_INPUT
    idle = False
    while not decoder.eof:
        data = b""
        if decoder.needs_input:
            data = bytes(source.take(input_bytes))
            input_bytes = min(input_bytes * 4, MAX_INPUT)
            if not data:
                raise truncated(name)
        try:
            output = decoder.decompress(data, limits.piece)
        except MemoryError:
            raise  # the operator's memory and window do not fit together: no fault of the image
        except Exception as error:  # each library has its own, and some have several
            raise explain(error) from error
        if output:
            yield output
        elif not data:
            if idle:
                raise truncated(name)  # neither takes nor gives anything: no library should, and none may hang us
            idle = True
            continue
        idle = False
    if decoder.unused_data:
        source.put_back(decoder.unused_data)
