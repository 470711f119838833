"""The inspector `qemu-info`: qemu-img, in the plugin's sandbox, must identify the image as Douane does."""

from __future__ import annotations

from douane_plugin import Inspector, Reject

from ._image_format import DISK_FORMATS, QEMU_DRIVERS, ImageFormat
from ._qemu_img import Completed, run
from .formats.examination import Examination
from .formats.registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

MiB = 1 << 20
SECTOR = 512

RAW_TO_QEMU = ("archive", "compressed")
"""Kinds of formats that qemu opens as raw bytes, if at all."""


class QemuInfo(Inspector):
    """Refuse the image unless ``qemu-img info`` finds the same format, and a disk of the same size.

    ``use = "qemu-info"``. It brings ``programs = ["qemu-img"]``; the program runs in the plugin's sandbox, where it can
    open nothing but the image. It runs twice: without the format, as careless tools run it, and with the format.
    The format is that of an earlier `format`, else the declared format, else as identified from the bytes. Both results
    must agree with it, and with the disk size in the image's header.

    Configuration:

    ``program`` (str, ``"qemu-img"``)
        The name or path of the program; list another one under ``programs``.

    Properties: ``format`` (qemu's name) and ``virtual_size`` (bytes).

    Refuses with ``qemu-disagrees`` (another format, or another size of the disk), ``qemu-refuses`` (qemu-img cannot
    open it, crashes, or prints unreadable output), ``backing-file`` and ``data-file`` (it names another file).
    """

    reads = "random"

    def __init__(self, program: str = "qemu-img") -> None:
        if not program:
            raise ValueError("'program' is empty; write the name or path of qemu-img, as under 'programs'")
        self.program = program

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject, and RuntimeError if the program cannot be run."""
        examination = examine(image.file)
        disk_format, size, at_end = expected(image.disk_format, examination)
        driver = QEMU_DRIVERS.get(disk_format, disk_format)
        info = self._run(image, [])
        guess = _text(info, "format")
        if guess == driver:
            _compare(info, driver, size)
        elif guess != "raw" or not at_end:
            raise Reject(
                "qemu-disagrees",
                f"the image is {disk_format}, but qemu-img takes it for {guess:.40}; "
                "convert it (qemu-img convert, with -f) and upload the result",
            )
        info = self._run(image, ["-f", driver])
        _compare(info, driver, size)
        return {"format": driver, "virtual_size": int(info["virtual-size"])}

    def _run(self, image: Image, options: list[str]) -> dict[str, Any]:
        completed = run([self.program, "info", "--output=json", *options, image.path], image.file.fileno())
        if completed.status or completed.cut:
            self.log.info("qemu-img %s: %s", " ".join(options) or "(guessing)", completed)
            raise Reject(
                "qemu-refuses", f"qemu-img cannot open the image{_reason(completed, image.path)}; convert it again"
            )
        return _parse(completed)


def examine(file: Any) -> Examination:
    """The ended examination of `file`. Only the bytes that a reader asks for are read."""
    size = file.seek(0, 2)
    examination = Examination(FORMATS, size)
    while examination.position < size:
        examination.skip(examination.skippable())
        file.seek(examination.position)
        chunk = file.read(MiB)
        if not chunk:
            break
        examination.feed(memoryview(chunk))
    examination.finish()
    return examination


def expected(declared: str | None, examination: Examination) -> tuple[str, int, bool]:
    """The disk format that qemu must find, the disk's size in bytes, and whether only the image's end shows the format.

    qemu never looks at the end: it takes a VHD of fixed size, whose only header is there, for raw bytes, unless the
    caller says what it is (block/vpc.c, vpc_probe).
    """
    disk_format = DISK_FORMATS.get(declared, declared) if declared else ImageFormat(examination).disk_format
    for match in examination.matches:
        if match.disk_format == disk_format and match.kind not in RAW_TO_QEMU and match.virtual_size is not None:
            return disk_format, match.virtual_size, match.at == "end"
    return disk_format, examination.position, False


def _parse(completed: Completed) -> dict[str, Any]:
    import json

    try:
        info = json.loads(completed.output)
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict) or not isinstance(info.get("virtual-size"), int):
        raise Reject("qemu-refuses", "qemu-img prints unreadable output for the image; convert it again")
    return info


def _text(info: dict[str, Any], key: str) -> str:
    value = info.get(key)
    return value if isinstance(value, str) else ""


def _compare(info: dict[str, Any], driver: str, size: int) -> None:
    specific = info.get("format-specific")
    data = specific.get("data") if isinstance(specific, dict) else None
    if _text(info, "backing-filename") or _text(info, "full-backing-filename"):
        raise Reject(
            "backing-file", "qemu-img finds that the image has a backing file; flatten it and upload the result"
        )
    if isinstance(data, dict) and data.get("data-file"):
        raise Reject("data-file", "qemu-img finds that the image's data is in another file; convert it to one file")
    qemu_size = info["virtual-size"]
    if _text(info, "format") != driver:
        raise Reject(
            "qemu-disagrees",
            f"the image is {driver}, but qemu-img opens it as {_text(info, 'format'):.40}; convert it (qemu-img "
            "convert, with -f), and upload the result",
        )
    if qemu_size not in (size, -(-size // SECTOR) * SECTOR):
        raise Reject(
            "qemu-disagrees",
            f"by its header the image has a disk of {size} bytes, but qemu-img reads one of {qemu_size} bytes; convert "
            "it to another format where it was made, and upload the result",
        )


def _reason(completed: Completed, path: str) -> str:
    if completed.cut:
        return ": it prints too much"
    if completed.status < 0 or completed.status > 128:
        return ": it crashes"
    lines = completed.errors.decode(errors="replace").replace(path, "the image").strip().splitlines()
    return f" ({lines[-1][:200]})" if lines else ""
