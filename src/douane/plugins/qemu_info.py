"""The inspector `qemu-info`: qemu-img, in the plugin's cage, must say the same of the image as we do."""

from __future__ import annotations

from douane_plugin import Inspector, Reject

from ._image_format import DISK_FORMATS, QEMU_DRIVERS, ImageFormat
from ._qemu_img import Ran, run
from .formats.examination import Examination
from .formats.registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

MiB = 1 << 20
SECTOR = 512

UNTOLD = ("archive", "compressed")
"""What qemu opens as nothing but bytes, if at all."""


class QemuInfo(Inspector):
    """Refuse the image unless ``qemu-img info`` takes it for what it is, with a disk of the same size.

    ``use = "qemu-info"``, and ``programs = ["qemu-img"]`` beside it. The program runs in the plugin's cage, where
    nothing but the image can be opened. It is asked twice: without being told the format, as careless tools do, and
    with it, as Douane does. The format is the one that `format` found, where it stands beside, else as declared,
    else as the bytes have it. Both answers have to agree with that and with the size that its header tells.

    Configuration:

    ``program`` (str, ``"qemu-img"``)
        What to run: its name or path, as the operator wrote it under ``programs``.

    Properties: ``format`` (qemu's name) and ``virtual_size`` (bytes).

    Refuses with ``qemu-disagrees`` (another format, or another size of the disk), ``qemu-refuses`` (qemu-img cannot
    open it, crashes, or says what cannot be understood), ``backing-file`` and ``data-file`` (it names another file).
    """

    reads = "random"

    def __init__(self, program: str = "qemu-img") -> None:
        if not program:
            raise ValueError("'program' is empty; write the name or path of qemu-img, as under 'programs'")
        self.program = program

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Raises Reject as told above, RuntimeError where the program cannot be run; returns the properties."""
        examination = examine(image.file)
        disk_format, size, at_end = expected(image.disk_format, examination)
        driver = QEMU_DRIVERS.get(disk_format, disk_format)
        told = self._ask(image, [])
        guessed = _text(told, "format")
        if guessed == driver:
            _compare(told, driver, size)
        elif guessed != "raw" or not at_end:
            raise Reject(
                "qemu-disagrees",
                f"the image is {disk_format}, but qemu-img takes it for {guessed:.40}; "
                "convert it (qemu-img convert, with -f) and upload the result",
            )
        told = self._ask(image, ["-f", driver])
        _compare(told, driver, size)
        return {"format": driver, "virtual_size": int(told["virtual-size"])}

    def _ask(self, image: Image, how: list[str]) -> dict[str, Any]:
        ran = run([self.program, "info", "--output=json", *how, image.path], image.file.fileno())
        if ran.status or ran.cut:
            self.log.info("qemu-img %s: %s", " ".join(how) or "(guessing)", ran)
            raise Reject("qemu-refuses", f"qemu-img cannot open the image{_why(ran, image.path)}; convert it again")
        return _parse(ran)


def examine(file: Any) -> Examination:
    """The ended examination of `file`, of which only what is looked at is read."""
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


def expected(told: str | None, examination: Examination) -> tuple[str, int, bool]:
    """The disk format that qemu must find, the disk's size in bytes, and whether it can be known by its end only.

    qemu never looks at the end: it takes a VHD of fixed size, whose only header stands there, for raw bytes, unless it
    is told what it is (block/vpc.c, vpc_probe).
    """
    found = ImageFormat(examination)
    disk_format = DISK_FORMATS.get(told, told) if told else found.disk_format
    for match in examination.matches:
        if match.disk_format == disk_format and match.kind not in UNTOLD and match.virtual_size is not None:
            return disk_format, match.virtual_size, match.at == "end"
    return disk_format, examination.position, False


def _parse(ran: Ran) -> dict[str, Any]:
    import json

    try:
        told = json.loads(ran.output)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("virtual-size"), int):
        raise Reject("qemu-refuses", "what qemu-img says of the image cannot be understood; convert it again")
    return told


def _text(told: dict[str, Any], key: str) -> str:
    value = told.get(key)
    return value if isinstance(value, str) else ""


def _compare(told: dict[str, Any], driver: str, size: int) -> None:
    specific = told.get("format-specific")
    data = specific.get("data") if isinstance(specific, dict) else None
    if _text(told, "backing-filename") or _text(told, "full-backing-filename"):
        raise Reject(
            "backing-file", "qemu-img finds that the image has a backing file; flatten it and upload the result"
        )
    if isinstance(data, dict) and data.get("data-file"):
        raise Reject("data-file", "qemu-img finds that the image's data stand in another file; convert it to one file")
    theirs = told["virtual-size"]
    if _text(told, "format") != driver or theirs not in (size, -(-size // SECTOR) * SECTOR):
        raise Reject(
            "qemu-disagrees",
            f"by its headers the image is {driver} with a disk of {size} bytes, but qemu-img, told so, finds "
            f"{_text(told, 'format'):.40} with {theirs} bytes; convert it and upload the result",
        )


def _why(ran: Ran, path: str) -> str:
    if ran.cut:
        return ": it says more than can be read"
    if ran.status < 0 or ran.status > 128:
        return ": it crashes"
    lines = ran.errors.decode(errors="replace").replace(path, "the image").strip().splitlines()
    return f" ({lines[-1][:200]})" if lines else ""
