"""The transform `convert`: convert disk images to one format, with qemu-img in the plugin's sandbox.

`arrival` examines the image as it arrives, `targets` has the formats that can be made, `program` runs qemu-img,
`kept` has it read an image in a file, `streams` and `nbd` connect it to bytes that arrive or leave in order, `files`
has the scratch files, and `disk_size` compares the sizes of the disks. Two kinds of images need no qemu-img: a
stream-optimized VMDK (`grains`), and a plain qcow2 (`qcow2_stream` while it arrives, `qcow2_disk` from its file).
Headers and tables are read by `formats`.
"""

from __future__ import annotations

from douane.plugins._image_format import DISK_FORMATS, QEMU_DRIVERS
from douane.plugins._literal import Literal
from douane_guest.headers.vhd import COOKIE
from douane_plugin import Reject, Transform
from douane_plugin._units import parse_size, show_exact_size

from .arrival import Arrival
from .disk_size import check_header, check_result, exactly
from .files import read_file, skip_bytes, write_file, writing
from .kept import KeptImage
from .program import try_program
from .targets import DEFAULT_SOURCES, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from douane_guest.headers.vmdk import VmdkHeader
    from douane_plugin import Image

    Pieces = Iterator[bytes | memoryview]

_FOOTER_BYTES = 512


class Convert(Transform):
    """Convert disk images to one format. Images that have the format already pass unchanged.

    ``use = "convert"``. It brings ``programs = ["qemu-img"]`` and ``scratch = "260GiB"``, the space for the image and
    its result; the plan may set others. The format of an image is identified from its bytes; qemu-img is given both
    formats, and runs in the plugin's sandbox, where it can open only this image.

    The plugin chooses the way with the least disk space: a stream-optimized VMDK becomes raw as it arrives, without
    qemu-img; it, or a raw image, becomes another format with only the result on the disk; every other image is kept on
    the disk as it arrives, and becomes raw as it leaves, or another format with the result beside it. A plain qcow2 is
    read without qemu-img, which only checks the size of its disk: its disk leaves while the rest arrives.

    Configuration:

    ``to`` (``"raw"``, ``"qcow2"``, ``"vmdk"``, ``"vhd"``, ``"vhdx"``, ``"vdi"``; ``"raw"``)
        The format. VMDK is stream-optimized, VHD is dynamic.
    ``when`` (list of str; all but ``iso``)
        The formats to convert, of those that qemu-img reads; images of other formats pass unchanged.
    ``always`` (bool, false)
        Convert images that have the format already: to compress them, or to remove snapshots.
    ``compression`` (``"none"``, ``"zlib"``, ``"zstd"``; ``"none"``), ``cluster_size`` (int, or str such as ``"64KiB"``)
        For qcow2.
    ``verify`` (``"none"``, ``"check"``, ``"compare"``; ``"none"``)
        ``"check"``: the result must pass ``qemu-img check``. ``"compare"``: its disk must equal that of the image, by
        ``qemu-img compare``. Both need the image and the result on the disk.
    ``max_virtual_size`` (int, or str; 128 GiB)
        A larger disk is refused before the conversion, with ``convert-too-large``.
    ``program`` (str, ``"qemu-img"``)
        The name or path of the program; list another one under ``programs``.

    Properties: ``source`` (the original format), ``way`` (``"streamed"``, ``"kept"``), ``verified``.

    Refuses with ``convert-failed`` (qemu-img cannot read it), ``convert-damaged`` (truncated, or it contradicts
    itself), ``convert-out-of-order`` (the parts of a stream-optimized VMDK), ``convert-unsupported`` (a kind of its
    format that is no disk by itself, or an image of several formats), ``convert-encrypted``, ``convert-other-files``
    (it names another file), ``convert-size`` (qemu-img reads a disk of another size than its header has),
    ``convert-too-large``, and, as `format` does, ``format-mismatch`` (it differs from the
    declared format). Fails if there is no space, or if qemu-img crashes.
    """

    def __init__(
        self,
        to: Literal["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"] = "raw",
        when: list[str] | None = None,
        always: bool = False,
        compression: Literal["none", "zlib", "zstd"] = "none",
        cluster_size: int | str | None = None,
        verify: Literal["none", "check", "compare"] = "none",
        max_virtual_size: int | str = "128GiB",
        program: str = "qemu-img",
    ) -> None:
        self.target = Target(to, compression, cluster_size, verify)
        self.when = DEFAULT_SOURCES if when is None else tuple(DISK_FORMATS.get(name, name) for name in when)
        unknown = [name for name in self.when if name not in QEMU_DRIVERS]
        if unknown or not self.when:
            raise ValueError(f"'when' lists formats, one or more of {', '.join(QEMU_DRIVERS)}, not {unknown}")
        self.always = always
        self.verify = verify
        self.max_virtual_size = parse_size(max_virtual_size, "max_virtual_size")
        self.program = program
        try:
            self.image_file, self.result_file = self.scratch
        except LookupError as error:
            raise ValueError(f"convert needs space for the image and its result: {error}") from None
        try_program(program)

    def transform(self, image: Image) -> Pieces:
        """Yield the converted image. Raises Reject, and RuntimeError for failures that are not the image's."""
        arrival = Arrival(image)
        source, variant = arrival.disk_format, arrival.variant
        # A VHD of fixed size is a raw disk with a footer, which is seen last.
        undecided = (
            source == "raw"
            and DISK_FORMATS.get(image.disk_format or "", image.disk_format) in (None, "", "vhd")
            and (self._converts("raw", "") or self._converts("vhd", "fixed"))
            and not arrival.examination.ended
        )
        is_empty = not (arrival.examination.position or image.size)
        if source is None or is_empty or not (undecided or self._converts(source, variant)):
            image.unchanged()
            return
        header = self._stream_header(arrival)
        raw_size = image.size if source in ("raw", "iso") else None
        self._check_size(arrival, header.disk_bytes if header is not None else raw_size)
        self.log.info("the image is %s %s", source, variant)
        if self.verify != "none":
            yield from self._from_file(image, arrival)
        elif header is not None:
            yield from self._from_stream(image, arrival, source, self._grains(arrival, header), header.disk_bytes)
        elif raw_size and not undecided and self.target.name != "raw":
            yield from self._from_stream(image, arrival, source, iter(arrival), raw_size)
        elif undecided and self.target.name == "raw":
            yield from self._without_footer(image, arrival)
        else:
            yield from self._from_file(image, arrival)

    # images whose disk is in order as it arrives

    def _stream_header(self, arrival: Arrival) -> VmdkHeader | None:
        match = arrival.match
        if match is None or match.name != "vmdk" or match.variant != "streamOptimized":
            return None
        from douane.plugins.formats.vmdk_grains import is_streamable
        from douane_guest.headers.vmdk import VmdkHeader

        header = VmdkHeader(arrival.head(512))
        return header if is_streamable(header) else None

    def _grains(self, arrival: Arrival, header: VmdkHeader) -> Pieces:
        from douane.plugins._byte_reader import ByteReader

        from .grains import read_disk

        yield from read_disk(ByteReader(arrival), header)

    def _from_stream(self, image: Image, arrival: Arrival, source: str, disk: Pieces, size: int) -> Pieces:
        strict = source == "vmdk"
        self._announce(image, source, "streamed")
        if self.target.name == "raw":
            yield from exactly(disk, size)
            arrival.judge(strict=strict)
            check_header(size, arrival.disk_size)
            return
        from .streams import from_stream

        def words(options: str) -> list[str]:
            return [self.program, "convert", "-p", "-m", "1", "--image-opts", *self.target.words(options, path)]

        result, path = self.result_file.fileno(), self.result_file.path
        from_stream(words, [result], disk, size, self.alive, watched=result)
        arrival.judge(strict=strict)
        check_header(size, arrival.disk_size)
        check_result(result, self.target.name, size)
        yield from read_file(self.result_file)

    def _without_footer(self, image: Image, arrival: Arrival) -> Pieces:
        """Yield a raw disk, without the last sector if it is the footer of a VHD of fixed size."""
        image.becomes(disk_format="raw")
        tail = b""
        count = 0
        for piece in arrival:
            count += len(piece)
            if len(piece) < _FOOTER_BYTES:
                tail += bytes(piece)
                if len(tail) > _FOOTER_BYTES:
                    yield tail[:-_FOOTER_BYTES]
                    tail = tail[-_FOOTER_BYTES:]
                continue
            yield tail
            yield piece[:-_FOOTER_BYTES]
            tail = bytes(piece[-_FOOTER_BYTES:])
        match = arrival.match
        if match is not None and match.name == "vhd" and match.variant == "fixed":
            arrival.judge()
            self._announce(image, "vhd", "streamed")
            end = tail.find(COOKIE)
            check_header(count - len(tail) + end, arrival.disk_size)
            yield tail[:end]
        else:
            yield tail

    # images that are kept in a file first

    def _from_file(self, image: Image, arrival: Arrival) -> Pieces:
        position = 0
        if self.target.name == "raw" and self.verify == "none" and arrival.disk_format == "qcow2":
            position = yield from self._while_it_arrives(image, arrival)
        else:
            write_file(arrival, self.image_file)
        source, match = arrival.disk_format, arrival.match  # certain now
        if source is None or not self._converts(source, arrival.variant):
            if position:
                raise Reject(
                    "convert-unsupported",
                    "the image begins as qcow2, and its end can be read as another format; convert it where it was "
                    "made, and upload the result",
                )
            yield from read_file(self.image_file)
            return
        arrival.judge()
        if match is not None and match.name.startswith("vmdk-"):
            raise Reject(
                "convert-unsupported",
                f"the image is {match.name}, which is no disk by itself; convert the whole disk to one file, and "
                "upload that",
            )
        self._announce(image, source, "kept")
        size = arrival.disk_size
        if not size:
            raise Reject("convert-damaged", "the image's disk has no bytes; upload one with something in it")
        self._check_size(arrival, size)
        kept = KeptImage(self.program, (self.image_file, self.result_file), source, match, size, self.alive)
        kept.check_size()
        if self.target.name == "raw" and self.verify == "none":
            yield from skip_bytes(exactly(kept.disk(), size), position)
            return
        kept.convert(self.target)
        if self.verify != "none":
            kept.verify(self.target, self.verify)
        yield from read_file(self.result_file)

    def _while_it_arrives(self, image: Image, arrival: Arrival) -> Generator[bytes | memoryview, None, int]:
        """Keep the whole image, and yield the disk as far as it is in order; return how many bytes that were."""
        from .qcow2_stream import Qcow2Stream

        disk, announced = Qcow2Stream(self.image_file.fileno(), arrival.head(512)), False
        self._check_size(arrival, disk.size)
        for start, piece in writing(arrival, self.image_file):
            parts = disk.advance(start, piece)
            part = next(parts, None)
            if part is None:
                continue
            if not announced:
                self._announce(image, "qcow2", "kept")
                announced = True
            yield part
            # Release it now: clusters of 2 MiB yield nothing for several chunks, and a chunk's memory is only lent for
            # two.
            del part
            yield from parts
        return disk.position

    # both

    def _converts(self, source: str, variant: str) -> bool:
        if source not in self.when or self.target.is_same_bytes(source):
            return False
        return self.always or not self.target.is_met_by(source, variant)

    def _check_size(self, arrival: Arrival, size: int | None) -> None:
        if size is None and arrival.match is not None:
            size = arrival.match.virtual_size
        if size is not None and size > self.max_virtual_size:
            raise Reject(
                "convert-too-large",
                f"the image's disk has {show_exact_size(size)}, and at most "
                f"{show_exact_size(self.max_virtual_size)} are converted here; make it smaller, and upload it again",
            )

    def _announce(self, image: Image, source: str, way: str) -> None:
        properties = {"source": source, "way": way}
        if self.verify != "none":
            properties["verified"] = self.verify
        image.becomes(disk_format=self.target.name, container_format="bare", properties=properties)
