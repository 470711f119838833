"""The three tools, each called as its users call it, and their answers."""

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
    """The answer of a tool: `name` of the format or empty; whether the image `passed`, or `why` not; `size` of the disk
    in bytes; `uncaught`, an unexpected exception."""

    name: str = ""
    passed: bool = False
    why: str = ""
    size: int | None = None
    uncaught: str = ""


def ours(path: Path) -> Answer:
    """The plugin `format` with its defaults and nothing declared; name and size are those of the examination alone."""
    size = path.stat().st_size
    try:
        name, virtual_size, codes = _examine(path, size)
        image = Image({"size": size}, _Source(path))
        try:
            Format().inspect(image)
        except (Reject, Incomplete) as refusal:
            return Answer(name, False, f"{refusal.code} ({codes})" if codes else refusal.code, virtual_size)
        return Answer(name, True, codes, virtual_size)
    except Exception as error:  # uncaught exceptions are counted
        return Answer(uncaught=repr(error)[:200])


def _examine(path: Path, size: int) -> tuple[str, int | None, str]:
    examination = Examination(FORMATS, size)
    with path.open("rb") as file:
        while examination.position < size:
            examination.skip(examination.skippable())
            file.seek(examination.position)
            examination.feed(memoryview(file.read(MiB)))
    examination.finish()
    codes = ", ".join(sorted({finding.code for finding in examination.findings}))
    if "ambiguous" in codes:
        return "+".join(match.name for match in examination.matches), examination.matches[0].virtual_size, codes
    form = ImageFormat(examination)
    name = form.name
    if form.match is not None and form.match.kind == "content" and name not in names.RAW_LIKE:
        name = form.partition_table or "raw"
    virtual_size = form.virtual_size
    if virtual_size is None and form.disk_format in ("raw", "iso"):
        virtual_size = size
    return name, virtual_size, codes


class _Source:
    """Yields the file as the engine does, without reading holes."""

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
            except OSError:  # ENXIO: the rest is a hole (lseek(2))
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
    """`detect_file_format`, then `safety_check`, as in the services of OpenStack."""
    inspector = _oslo_inspector()
    name = ""
    size: int | None = None
    try:
        detected = inspector.detect_file_format(str(path))
        name = str(detected)
        # for raw bytes the inspector returns how many it has read; its users take the length of the file
        size = path.stat().st_size if name in ("raw", "gpt", "iso") else int(detected.virtual_size) or None
        detected.safety_check()
    except (inspector.ImageFormatError, inspector.SafetyCheckFailed) as refusal:
        several = str(refusal).partition("Multiple formats detected: ")[2]
        name = name or "+".join(sorted(several.split(",")))
        return Answer(name, False, str(refusal)[:200], size)
    except Exception as error:  # uncaught exceptions are counted
        return Answer(name, False, repr(error)[:200], size, uncaught=repr(error)[:200])
    return Answer(name, True, "", size)


def _oslo_inspector() -> Any:
    """The module, with stand-ins if cryptography is missing, which it imports but needs only for passphrases."""
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
    """`qemu-img info` with probing, in a sandbox with the image alone. An image passes if it names no other file."""
    inside = f"/tmp/{path.name}"
    sandbox = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--dev", "/dev"]
    limits = ["prlimit", f"--as={QEMU_MEMORY}", f"--cpu={QEMU_SECONDS}", "--"]
    words = [*sandbox, "--ro-bind", str(path), inside, *limits, "qemu-img", "info", "--output=json", inside]
    try:
        process = subprocess.run(words, capture_output=True, timeout=QEMU_SECONDS * 2, check=False)
    except subprocess.TimeoutExpired:
        return Answer(uncaught="no answer in time")
    errors = process.stderr.decode(errors="replace").replace(inside, "IMAGE").strip()[-200:]
    if process.returncode:
        died = f"status {process.returncode}: {errors}" if process.returncode not in (0, 1) else ""
        return Answer(why=errors, uncaught=died)
    info = json.loads(process.stdout)
    other_files = _other_files(info, inside)
    why = f"names {', '.join(sorted(other_files))}"[:200] if other_files else ""
    return Answer(info["format"], not other_files, why, info["virtual-size"])


def _other_files(info: dict[str, Any], inside: str) -> set[str]:
    """The files other than the image that the JSON of qemu-img names."""
    named = {str(info[key]) for key in ("backing-filename", "full-backing-filename") if info.get(key)}
    data = (info.get("format-specific") or {}).get("data") or {}
    named |= {str(data["data-file"])} if data.get("data-file") else set()
    named |= {str(extent["filename"]) for extent in data.get("extents") or () if extent.get("filename")}
    return named - {inside}


TOOLS = {"douane": ours, "oslo": oslo, "qemu": qemu}
