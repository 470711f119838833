"""The transform `decompress`: unpack compressed images as they arrive; other images pass unchanged.

`layers` finds the compression with the recognition of `formats`, one module for each compression unpacks it with
`decoding`, and `limits` has the operator's limits and the refusals. A new compression is registered in
`formats/compressions.py`; its attribute `decoder` names a module here, with a function `unpack(source, limits)`.
"""

from __future__ import annotations

from douane.plugins._byte_reader import ByteReader
from douane.plugins._expansion import DEFAULT_MAX, bounded, check_bounds
from douane.plugins._literal import Literal
from douane.plugins.formats import tar_blocks, tar_headers
from douane_plugin import Reject, Transform
from douane_plugin._units import parse_size

from .layers import next_layer, unpacker
from .limits import UnpackLimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane_plugin import Image

MAX_LAYERS = 8


class Decompress(Transform):
    """Unpack an image that is compressed with gzip, xz, lzma, zstd, bzip2 or lz4, or is the only file in a zip.

    ``use = "decompress"``. The compression is identified from the bytes; the image's name and declared format are
    ignored. Members, streams and frames that follow each other become one image. All checksums and lengths are
    verified. Nothing is written to a file, and names in a zip are used for nothing.

    Configuration:

    ``depth`` (int, 1)
        Layers of compression to remove: 2 for a ``.gz`` in a ``.zip``. Each layer needs its own window.
    ``deeper`` (``"reject"`` or ``"pass"``)
        An image that is still compressed after that is refused with ``compressed-again``, so that nobody stores it as a
        disk; or passes with a warning, as ``container_format = "compressed"``: for a site that stores initial RAM disks
        compressed.
    ``trailing`` (``"reject"`` or ``"warn"``)
        Bytes after the end of the compressed data are refused with ``compressed-trailing-data``; or give a warning, and
        are no part of the image. Zeros only give the warning ``compressed-padding``. After a zip: always refused.
    ``max_window`` (int, or str such as ``"64MiB"``; 128 MiB)
        Memory that a header may ask for: zstd's window, LZMA's dictionary. A larger window is refused with
        ``compressed-window`` before it is allocated. ``xz -9`` needs 64 MiB, ``zstd --ultra`` and ``--long`` up to 128
        MiB. If you raise it, raise the plugin's ``memory`` as well, for each layer.
    ``max_members`` (int, 4194304)
        Members, streams or frames, including empty ones, in all layers together; more are refused with
        ``compressed-members``.
    ``max_expansion`` (int, 500)
        Largest ratio of output to input, in all layers together, once the output exceeds 1 GiB; a larger ratio is
        refused with ``compressed-bomb``.

    The engine's limits ``max_output`` and ``max_ratio`` apply as for any transform.

    Properties: ``compression`` (``"gzip"``; of several layers all, the outermost first: ``"zip,gzip"``), ``layers``.

    Refuses also with ``compressed-truncated``, ``compressed-damaged``, ``compressed-checksum``,
    ``compressed-unsupported`` (a legacy lz4 frame, a missing dictionary, an unknown method), ``compressed-encrypted``;
    and a zip with ``zip-members`` (not one plain file), ``zip-name`` (a name that leads out of it), ``zip-layout`` (the
    length of its file is stored only after the file), ``zip-ambiguous`` (its directory, where other programs begin to
    read, contradicts its file).
    """

    def __init__(
        self,
        depth: int = 1,
        deeper: Literal["reject", "pass"] = "reject",
        trailing: Literal["reject", "warn"] = "reject",
        max_window: int | str = "128MiB",
        max_members: int = 1 << 22,
        max_expansion: int = DEFAULT_MAX,
    ) -> None:
        if not 1 <= depth <= MAX_LAYERS:
            raise ValueError(f"'depth' is a number of layers from 1 to {MAX_LAYERS}, not {depth}")
        for key, value, values in (("deeper", deeper, ("reject", "pass")), ("trailing", trailing, ("reject", "warn"))):
            if value not in values:
                raise ValueError(f"{key!r} is {values[0]!r} or {values[1]!r}, not {value!r:.60}")
        check_bounds(max_members, max_expansion)
        self.depth = depth
        self.deeper = deeper
        self.trailing = trailing
        self.max_window = parse_size(max_window, "max_window")
        self.max_members = max_members
        self.max_expansion = max_expansion

    def transform(self, image: Image) -> Iterator[bytes | memoryview]:
        """Yield the unpacked image. Raises Reject."""
        limits = UnpackLimits(
            window=self.max_window, members=self.max_members, trailing=self.trailing == "warn", warn=self.warn
        )
        source = ByteReader(image)
        layer = next_layer(source)
        if layer is None:
            image.unchanged()
            return
        layers: list[str] = []
        while layer is not None and len(layers) < self.depth:
            layers.append(layer.name)
            source = ByteReader(unpacker(layer)(source, limits))
            layer = next_layer(source)
        if layer is not None:
            self._stop_unpacking(layers, layer.name)
        self.log.info("unpacking %s", ", then ".join(layers))
        image.becomes(
            container_format=_container(image.container_format, source) if layer is None else "compressed",
            properties={"compression": ",".join(layers), "layers": len(layers)},
        )
        yield from bounded(source.rest(), image, self.max_expansion)

    def _stop_unpacking(self, layers: list[str], inner: str) -> None:
        message = f"the image is compressed more than once: {', '.join([*layers, inner])}"
        if self.deeper == "reject":
            raise Reject("compressed-again", f"{message}; unpack it until it is compressed once, and upload it again")
        self.warn("compressed-again", f"{message}; the inner {inner} was left as it is")


def _container(declared: str | None, source: ByteReader) -> str:
    """The claim for `becomes`. The engine determines the format again, from the bytes."""
    head = source.peek(tar_blocks.BLOCK)
    if not tar_headers.begins_archive(head):
        return "bare"
    if declared == "docker":
        return "docker"
    return "ova" if tar_blocks.text(head[:100]).lower().endswith(".ovf") else "bare"
