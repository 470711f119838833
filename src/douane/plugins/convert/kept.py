"""An image that has been kept in a file: qemu-img reads it, with the options that its header asks for."""

from __future__ import annotations

from douane.plugins._image_format import QEMU_DRIVERS

from .disk_size import check_reading, check_result, padded
from .program import QemuImg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from douane.plugins.formats.match import Match
    from douane_plugin import Scratch

    from .targets import Target


class KeptImage:
    """The image of `disk_format` in `image_file`, with a disk of `size` bytes by the reader of its format.

    `program` is qemu-img, `match` has what the reader found, `alive` is called while there is progress. Methods raise
    Reject and RuntimeError.
    """

    def __init__(
        self,
        program: str,
        files: tuple[Scratch, Scratch],
        disk_format: str,
        match: Match | None,
        size: int,
        alive: Callable[[], None],
    ) -> None:
        self._program = program
        self._image_file, self._result_file = files
        self._source = qemu_options(QEMU_DRIVERS[disk_format], self._image_file.path, match)
        self._is_qcow2 = disk_format == "qcow2"
        self._size = padded(size)
        self._alive = alive

    def check_size(self) -> None:
        """Raise Reject unless qemu-img reads the disk in its size."""
        import json

        with self._run(["info", "--output=json", "--image-opts", self._source]) as program:
            program.succeed()
            size = json.loads(program.output).get("virtual-size")
        if not isinstance(size, int):
            raise RuntimeError(f"{self._program} info does not print the size of the disk")
        check_reading(self._size, size)

    def disk(self) -> Iterator[bytes | memoryview]:
        """Yield the disk."""
        from .qcow2_disk import read_disk
        from .streams import to_stream

        disk = read_disk(self._image_file.fileno(), self._size) if self._is_qcow2 else None
        if disk is not None:
            return disk
        words = [self._program, "convert", "-p", "--image-opts"]
        return to_stream(words, self._source, [self._image_file.fileno()], self._size, self._alive)

    def convert(self, target: Target) -> None:
        """Write the result into its file."""
        words = ["convert", "-p", "--image-opts", *target.words(self._source, self._result_file.path)]
        with self._run(words) as program:
            program.succeed()
        check_result(self._result_file.fileno(), target.name, self._size)

    def verify(self, target: Target, how: str) -> None:
        """Check the result, ``"check"``, or compare its disk with that of the image, ``"compare"``."""
        result = self._result_file.path
        if how == "check":
            words = ["check", "-f", target.driver, result]
        else:
            words = ["compare", "-p", "--image-opts", self._source, qemu_options(target.driver, result, None)]
        with self._run(words) as program:
            if program.finish():
                raise RuntimeError(f"the result is not sound, by {self._program} {words[0]}: {program.reason()}")

    def _run(self, words: Sequence[str]) -> QemuImg:
        fds = [self._image_file.fileno(), self._result_file.fileno()]
        return QemuImg([self._program, *words], fds, self._alive, watched=self._result_file.fileno())


def qemu_options(driver: str, path: str, match: Match | None) -> str:
    """The value of --image-opts for the file `path`; `match` has what the reader of its format found."""
    options = {"driver": driver, "file.driver": "file", "file.filename": path} | (match.qemu_options if match else {})
    return ",".join(f"{key}={value}" for key, value in options.items())
