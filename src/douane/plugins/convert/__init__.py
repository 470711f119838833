"""The transform `convert`: a disk image in one format becomes one in another; by qemu-img, in the plugin's cage."""

from __future__ import annotations

import os
from typing import Literal

from douane.plugins._image_format import DISK_FORMATS, QEMU_DRIVERS
from douane_plugin import Reject, Transform
from douane_plugin._units import parse_size, show_exact_size

from .arrival import Arrival
from .files import hand_out, keep, keeping, rest
from .program import QemuImg, cannot_run
from .targets import USUAL, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from douane.plugins.formats.vmdk_sparse import VmdkHeader
    from douane_plugin import Image

_RAW = ("raw", "ami", "aki", "ari", "iso", "gpt", "mbr")
_FOOTER_BYTES = 512


class Convert(Transform):
    """Convert disk images to one format, and leave those alone that have it already.

    ``use = "convert"``, and beside it ``programs = ["qemu-img"]`` and ``scratch = "64GiB"``, the room for what is being
    converted. What an image is, is found in its bytes, and qemu-img is told both formats. It runs in the plugin's cage,
    where nothing but this image can be opened.

    The way is chosen for each image, the one with the least on the disk: a stream-optimized VMDK becomes raw as it
    arrives, without qemu-img; it, or a raw image, becomes anything else with only the result on the disk; all others
    are kept on the disk as they arrive, and become raw as they go on, or anything else with the result beside them. A
    plain qcow2 is read without qemu-img, which is only asked for the size of its disk: what stands in the order of the
    disk goes on while the rest arrives.

    Configuration:

    ``to`` (``"raw"``, ``"qcow2"``, ``"vmdk"``, ``"vhd"``, ``"vhdx"``, ``"vdi"``; ``"raw"``)
        The format. VMDK is stream-optimized, VHD dynamic.
    ``when`` (list of str; all but ``iso``)
        Formats, as found, that are converted: ``raw``, ``qcow2``, ``vmdk``, ``vhd``, ``vhdx``, ``vdi``, ``ploop``,
        ``qed``, ``qcow``, ``iso``. Any other passes as it is.
    ``always`` (bool, false)
        Convert also what has the format already: to compress it, or to be rid of snapshots.
    ``compression`` (``"none"``, ``"zlib"``, ``"zstd"``; ``"none"``), ``cluster_size`` (int, or str such as ``"64KiB"``)
        For qcow2.
    ``verify`` (``"none"``, ``"check"``, ``"compare"``; ``"none"``)
        ``"check"``: the result has to pass ``qemu-img check``. ``"compare"``: its disk has to be that of the image, by
        ``qemu-img compare``. Both need the image and the result on the disk.
    ``max_virtual_size`` (int, or str; 128 GiB)
        A larger disk is refused before it is converted, with ``convert-too-large``.
    ``program`` (str, ``"qemu-img"``)
        What to run: its name or path, as the operator wrote it under ``programs``.

    Properties: ``source`` (the format it had), ``way`` (``"streamed"``, ``"kept"``), ``verified``.

    Refuses with ``convert-failed`` (qemu-img cannot read it), ``convert-damaged`` (cut short, or it contradicts
    itself), ``convert-out-of-order`` (the parts of a stream-optimized VMDK), ``convert-unsupported`` (a kind of the
    format that is no disk by itself, or what can be read in more ways than one), ``convert-encrypted``,
    ``convert-other-files`` (it names another file), ``convert-too-large``, and ``format-mismatch`` (it is not what it
    was declared as), as `format` does. Fails if there is no room, or qemu-img crashes.
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
        self.when = USUAL if when is None else tuple(DISK_FORMATS.get(name, name) for name in when)
        unknown = [name for name in self.when if name not in QEMU_DRIVERS]
        if unknown or not self.when:
            raise ValueError(f"'when' lists formats, one or more of {', '.join(QEMU_DRIVERS)}, not {unknown}")
        self.always = always
        self.verify = verify
        self.max_virtual_size = parse_size(max_virtual_size, "max_virtual_size")
        self.program = program
        try:
            self.kept, self.made = self.scratch
        except LookupError as error:
            raise ValueError(f"convert needs room for what it works on: {error}") from None
        self._try_program()

    def _try_program(self) -> None:
        """Better now than when the first image comes."""
        try:
            quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
            pid = os.posix_spawnp(self.program, [self.program, "--version"], os.environ, file_actions=quiet)
        except OSError as error:
            raise ValueError(cannot_run(self.program, error)) from None
        if os.waitpid(pid, 0)[1]:
            raise ValueError(f"{self.program} is there, but does not run; try `{self.program} --version`")

    def transform(self, image: Image) -> Iterator[bytes | memoryview]:
        """Raises Reject as told above, RuntimeError where it is not the image's fault."""
        arrival = Arrival(image)
        found = arrival.format()
        late = found == "raw" and DISK_FORMATS.get(image.disk_format or "", image.disk_format) in (None, "", "vhd")
        # Of a VHD of fixed size nothing is to be seen before its end.
        late = late and "vhd" in (*self.when, self.target.name) and not arrival.examination.ended
        variant = arrival.match.variant if arrival.match else ""
        wanted = self._wants(found, variant)
        if not (wanted or late) or not (arrival.examination.position or image.size):
            image.unchanged()
            return
        assert found is not None
        header = self._stream_header(arrival)
        known_size = image.size if found in ("raw", "iso") else None
        self._check_size(arrival, header.capacity * 512 if header is not None else known_size)
        self.log.info("the image is %s %s", found, variant)
        known = image.size if found in ("raw", "iso") and not late else None
        if self.verify == "none" and header is not None:
            yield from self._from_stream(image, arrival, found, self._grains(arrival, header), header.capacity * 512)
        elif self.verify == "none" and known and self.target.name != "raw":
            yield from self._from_stream(image, arrival, found, iter(arrival), known)
        elif late and self.verify == "none" and self.target.name == "raw":
            yield from self._without_footer(image, arrival)
        else:
            yield from self._from_file(image, arrival)

    # what is in order as it arrives

    def _stream_header(self, arrival: Arrival) -> VmdkHeader | None:
        match = arrival.match
        if match is None or match.name != "vmdk" or match.variant != "streamOptimized":
            return None
        from douane.plugins.formats.vmdk_sparse import VmdkHeader

        from .grains import fits

        header = VmdkHeader(arrival.head(512))
        return header if fits(header) else None

    def _grains(self, arrival: Arrival, header: VmdkHeader) -> Iterator[bytes | memoryview]:
        from douane.plugins._byte_reader import ByteReader

        from .grains import disk

        yield from disk(ByteReader(arrival), header)

    def _from_stream(
        self, image: Image, arrival: Arrival, found: str, disk: Iterator[bytes | memoryview], size: int
    ) -> Iterator[bytes | memoryview]:
        strictly = found == "vmdk"
        self._become(image, found, "streamed")
        if self.target.name == "raw":
            yield from disk
            arrival.judge(strictly=strictly)
            return
        from .streams import from_stream

        def words(options: str) -> list[str]:
            return [self.program, "convert", "-p", "-m", "1", "--image-opts", *self.target.words(options, path)]

        made, path = self.made.fileno(), self.made.path
        from_stream(words, [made], disk, size, self.alive, watched=made)
        arrival.judge(strictly=strictly)
        yield from hand_out(self.made)

    def _without_footer(self, image: Image, arrival: Arrival) -> Iterator[bytes | memoryview]:
        """Raw, or a VHD of fixed size: which is raw but for its last sector."""
        image.becomes(disk_format="raw")
        held = b""
        for piece in arrival:
            if len(piece) < _FOOTER_BYTES:
                held += bytes(piece)
                if len(held) > _FOOTER_BYTES:
                    yield held[:-_FOOTER_BYTES]
                    held = held[-_FOOTER_BYTES:]
                continue
            yield held
            yield piece[:-_FOOTER_BYTES]
            held = bytes(piece[-_FOOTER_BYTES:])
        match = arrival.match
        if match is not None and match.name == "vhd" and match.variant == "fixed":
            arrival.judge()
            self._become(image, "vhd", "streamed")
            yield held[: held.find(b"conectix")]
        else:
            yield held

    # what has to be kept first

    def _from_file(self, image: Image, arrival: Arrival) -> Iterator[bytes | memoryview]:
        given = 0
        if self.target.name == "raw" and self.verify == "none" and arrival.format() == "qcow2":
            given = yield from self._as_it_arrives(image, arrival)
        else:
            keep(arrival, self.kept)
        found, match = arrival.format(), arrival.match  # certain now
        wanted = found is not None and self._wants(found, match.variant if match else "")
        if found is None or not wanted:
            if given:
                raise Reject("convert-unsupported", "the image can be read in more ways than one; convert it")
            yield from hand_out(self.kept)
            return
        arrival.judge()
        if match is not None and match.name.startswith("vmdk-"):
            raise Reject("convert-unsupported", f"the image is {match.name}, which is no disk by itself; convert it")
        self._become(image, found, "kept")
        driver, kept, made = QEMU_DRIVERS[found], self.kept, self.made
        size = self._disk_size(driver)
        if not size:
            raise Reject("convert-damaged", "the image's disk has no bytes; upload one with something in it")
        self._check_size(arrival, size)
        words = [self.program, "convert", "-p", "-f", driver]
        if self.target.name == "raw" and self.verify == "none":
            from . import qcow2_disk
            from .streams import to_stream

            plain = qcow2_disk.disk(kept.fileno(), size) if found == "qcow2" else None
            if plain is None:
                plain = to_stream([*words, kept.path], [kept.fileno()], size, self.alive)
            yield from rest(plain, given)
            return
        with self._run([*words, *self.target.words(kept.path, made.path)]) as program:
            program.succeed()
        self._verify(driver)
        yield from hand_out(made)

    def _as_it_arrives(self, image: Image, arrival: Arrival) -> Generator[bytes | memoryview, None, int]:
        """Keep all of it, and give out what comes in the order of the disk; how many bytes that were."""
        from .qcow2_following import Following

        disk, told = Following(self.kept.fileno(), arrival.head(512)), False
        self._check_size(arrival, disk.size)
        for start, piece in keeping(arrival, self.kept):
            parts = disk.more(start, piece)
            first = next(parts, None)
            if first is None:
                continue
            if not told:
                self._become(image, "qcow2", "kept")
                told = True
            yield first
            # Not held until there is a next one: clusters of 2 MiB give none for several chunks, and a chunk's memory
            # is only lent for two.
            del first
            yield from parts
        return disk.position

    def _disk_size(self, driver: str) -> int:
        """Bytes of the disk of what was kept, as qemu-img sees it."""
        import json

        with self._run([self.program, "info", "--output=json", "-f", driver, self.kept.path]) as program:
            program.succeed()
            told = json.loads(program.output)
        size = told.get("virtual-size")
        if not isinstance(size, int):
            raise RuntimeError(f"{self.program} info does not tell the size of the disk")
        return size

    def _run(self, words: list[str]) -> QemuImg:
        fds = [self.kept.fileno(), self.made.fileno()]
        return QemuImg(words, fds, self.alive, watched=self.made.fileno())

    def _verify(self, driver: str) -> None:
        if self.verify == "check":
            words = ["check", "-f", self.target.driver, self.made.path]
        elif self.verify == "compare":
            words = ["compare", "-p", "-f", driver, "-F", self.target.driver, self.kept.path, self.made.path]
        else:
            return
        with self._run([self.program, *words]) as program:
            if program.finish():
                raise RuntimeError(f"the result is not sound, by {self.program} {words[0]}: {program.reason()}")

    # both

    def _wants(self, found: str | None, variant: str) -> bool:
        if found not in self.when or self.target.is_nothing(found):
            return False
        return self.always or not self.target.is_met_by(found, variant)

    def _check_size(self, arrival: Arrival, size: int | None) -> None:
        match = arrival.match
        size = match.virtual_size if size is None and match is not None else size
        if size is not None and size > self.max_virtual_size:
            raise Reject(
                "convert-too-large",
                f"the image's disk has {show_exact_size(size)}, and at most "
                f"{show_exact_size(self.max_virtual_size)} are converted here; make it smaller, and upload it again",
            )

    def _become(self, image: Image, found: str, way: str) -> None:
        told = {"source": found, "way": way}
        if self.verify != "none":
            told["verified"] = self.verify
        image.becomes(disk_format=self.target.name, container_format="bare", properties=told)
