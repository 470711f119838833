"""Which compression the next bytes are packed with, by the recognition of `formats`, and the module that unpacks it."""

from __future__ import annotations

from importlib import import_module

from douane.plugins.formats.compressions import COMPRESSIONS
from douane.plugins.formats.lz4 import MAGICS, Lz4
from douane.plugins.formats.requests import HEAD_BYTES
from douane.plugins.formats.skippable import is_skippable, read_first_magic
from douane.plugins.formats.zip import Zip

from .decoding import read_header
from .limits import UnpackLimits, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from douane.plugins._byte_reader import ByteReader
    from douane.plugins.formats.base import Format
    from douane.plugins.ova.file_reader import FileReader

    Unpacker = Callable[[ByteReader, UnpackLimits], Iterator[bytes]]

LAYERS: tuple[Format, ...] = (*COMPRESSIONS, Zip())


def next_layer(source: ByteReader | FileReader) -> Format | None:
    """The format that the next bytes are packed in, or None. Nothing is consumed. Raises Reject."""
    head = source.peek(HEAD_BYTES)
    layer = next((layer for layer in LAYERS if layer.begins(head)), None)
    if layer is not None and is_skippable(head):
        magic, _ = read_header(source, read_first_magic(), layer.name)
        return Lz4() if magic in MAGICS else layer
    return layer


def unpacker(layer: Format) -> Unpacker:
    """The function that unpacks `layer`. Raises Reject if there is none."""
    if not layer.decoder:
        raise unsupported(layer.name, "are of a compression that is not unpacked here; compress it with another one")
    unpack: Unpacker = import_module(layer.decoder).unpack
    return unpack
