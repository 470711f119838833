"""The three tools, each asked in the way that its users ask it, and what it said."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from douane.plugins._image_format import ImageFormat
from douane.plugins.format import Format
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.registry import FORMATS
from douane_plugin import Image, Incomplete, Reject

from . import names

MiB = 1 << 20
QEMU_SECONDS = 20
QEMU_MEMORY = 2 << 30


@dataclass(frozen=True)
class Answer:
    """What a tool said: `name` of the format ("" if none), whether it let the image pass, why not, and the size of
    the disk in bytes. `uncaught`: the exception that came out where none is promised."""

    name: str = ""
    passed: bool = False
    why: str = ""
    size: int | None = None
    uncaught: str = ""


def ours(path: Path) -> Answer:
    """The plugin `format` with its defaults, nothing declared; name and size as the Examination alone has them."""
    size = path.stat().st_size
    try:
        name, virtual_size, found = _examine(path, size)
        image = Image({"size": size}, _Source(path))
        try:
            Format().inspect(image)
        except (Reject, Incomplete) as refusal:
            return Answer(name, False, f"{refusal.code} ({found})" if found else refusal.code, virtual_size)
        return Answer(name, True, found, virtual_size)
    except Exception as error:  # what is counted here is just that
        return Answer(uncaught=repr(error)[:200])


def _examine(path: Path, size: int) -> tuple[str, int | None, str]:
    examination = Examination(FORMATS, size)
    with path.open("rb") as file:
        while examination.position < size:
            examination.skip(examination.skippable())
            file.seek(examination.position)
            examination.feed(memoryview(file.read(MiB)))
    examination.finish()
    found = ", ".join(sorted({finding.code for finding in examination.findings}))
    if "ambiguous" in found:
        return "+".join(match.name for match in examination.matches), examination.matches[0].virtual_size, found
    judged = ImageFormat(examination)
    name = judged.name
    if judged.match is not None and judged.match.kind == "content" and name not in names.RAW_LIKE:
        name = judged.partition_table or "raw"
    virtual_size = judged.virtual_size
    if virtual_size is None and judged.disk_format in ("raw", "iso"):
        virtual_size = size
    return name, virtual_size, found


class _Source:
    """Hands out the file as the engine does; holes are not read."""

    goes_on = False

    def __init__(self, path: Path) -> None:
        self.ended = False
        self._chunks = _chunks(path)

    def take(self) -> memoryview | None:
        chunk = next(self._chunks, None)
        self.ended = chunk is None
        return chunk


def _chunks(path: Path) -> Iterator[memoryview]:
    zeros = memoryview(bytes(MiB))
    size = path.stat().st_size
    at = 0
    with path.open("rb", buffering=0) as file:
        while at < size:
            try:
                data = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # ENXIO: there is no more data, the rest is a hole (lseek(2))
                data = size
            if data > at:
                length = min(data - at, MiB)
                yield zeros[:length]
            else:
                chunk = os.pread(file.fileno(), MiB, at)
                length = len(chunk)
                yield memoryview(chunk)
            at += length


def oslo(path: Path) -> Answer:
    """`detect_file_format`, then `safety_check`, as OpenStack's services do it."""
    inspector = _oslo_inspector()
    name = ""
    size: int | None = None
    try:
        found = inspector.detect_file_format(str(path))
        name = str(found)
        # Of raw bytes the inspector tells how many it has looked at; who uses it takes the file's length.
        size = path.stat().st_size if name in ("raw", "gpt", "iso") else int(found.virtual_size) or None
        found.safety_check()
    except (inspector.ImageFormatError, inspector.SafetyCheckFailed) as refusal:
        several = str(refusal).partition("Multiple formats detected: ")[2]
        name = name or "+".join(sorted(several.split(",")))
        return Answer(name, False, str(refusal)[:200], size)
    except Exception as error:  # what is counted here is just that
        return Answer(name, False, repr(error)[:200], size, uncaught=repr(error)[:200])
    return Answer(name, True, "", size)


def _oslo_inspector() -> Any:
    """The module. Where cryptography is missing, which it imports but needs only for passphrases, it has stand-ins."""
    name = "oslo_utils.imageutils._luks"
    try:
        import oslo_utils.imageutils.format_inspector as inspector
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        stand_in: Any = types.ModuleType(name)
        stand_in.LUKSHeader, stand_in.LUKS_SECTOR_SIZE, stand_in.NUM_KEY_SLOTS = dict, 512, 8
        sys.modules[name] = stand_in
        import oslo_utils.imageutils.format_inspector as inspector
    logging.getLogger(inspector.__name__).disabled = True
    return inspector


def qemu(path: Path) -> Answer:
    """`qemu-img info` with probing, alone with the image. It passes what it opens without naming another file."""
    inside = f"/tmp/{path.name}"
    cage = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--dev", "/dev"]
    limits = ["prlimit", f"--as={QEMU_MEMORY}", f"--cpu={QEMU_SECONDS}", "--"]
    words = [*cage, "--ro-bind", str(path), inside, *limits, "qemu-img", "info", "--output=json", inside]
    try:
        done = subprocess.run(words, capture_output=True, timeout=QEMU_SECONDS * 2, check=False)
    except subprocess.TimeoutExpired:
        return Answer(uncaught="no answer in time")
    said = done.stderr.decode(errors="replace").replace(inside, "IMAGE").strip()[-200:]
    if done.returncode:
        died = f"status {done.returncode}: {said}" if done.returncode not in (0, 1) else ""
        return Answer(why=said, uncaught=died)
    told = json.loads(done.stdout)
    others = _others(told, inside)
    why = f"names {', '.join(sorted(others))}"[:200] if others else ""
    return Answer(told["format"], not others, why, told["virtual-size"])


def _others(told: dict[str, Any], inside: str) -> set[str]:
    """The files that qemu-img's JSON names besides the image."""
    named = {str(told[key]) for key in ("backing-filename", "full-backing-filename") if told.get(key)}
    data = (told.get("format-specific") or {}).get("data") or {}
    named |= {str(data["data-file"])} if data.get("data-file") else set()
    named |= {str(extent["filename"]) for extent in data.get("extents") or () if extent.get("filename")}
    return named - {inside}


TOOLS = {"douane": ours, "oslo": oslo, "qemu": qemu}
