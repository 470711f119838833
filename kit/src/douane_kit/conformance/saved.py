"""The input of a finding in files: a JSON object, and one file for each image."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import msgspec

from douane.engine import PlanError

from .cases import Case, Facts
from .driver_process import MEMORY_BYTES
from .findings import Check, Finding

BLOCK = 1 << 20
MAX_JSON = 1 << 20
MAX_CASES = 16


class SavedCase(msgspec.Struct):
    """A case; `image` is the name of a file in the same folder."""

    image: str
    cuts: int | tuple[int, ...]
    declared: Facts


class SavedFinding(msgspec.Struct):
    """A finding with its input."""

    code: str
    what: str
    check: Check
    cases: list[SavedCase]
    outcomes: list[str] = []


def save(finding: Finding, folder: str, number: int) -> str:
    """Write the finding and its cases into `folder`, and return the path of the JSON file. Raises OSError."""
    saved = SavedFinding(finding.code, finding.what, finding.check, [], list(finding.outcomes))
    os.makedirs(folder, exist_ok=True)
    names: dict[bytes, str] = {}
    for case in finding.cases():
        if case.data not in names:
            suffix = f"-{len(names) + 1}" if names else ""
            names[case.data] = f"{number}-{finding.code}{suffix}.img"
            _write_image(Path(folder, names[case.data]), case.data)
        saved.cases.append(SavedCase(names[case.data], case.cuts, case.facts))
    path = Path(folder, f"{number}-{finding.code}.json")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(saved), indent=2) + b"\n")
    return str(path)


def _write_image(path: Path, data: bytes) -> None:
    """Write `data`, with holes for zeros."""
    with open(path, "wb") as file:
        for start in range(0, len(data), BLOCK):
            block = data[start : start + BLOCK]
            if block.count(0) == len(block):
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
        file.truncate(len(data))


def _opened(path: str | Path) -> BinaryIO:
    """A regular file. The folder may come from somebody else: a link could lead to any file, a pipe would wait."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return open(fd, "rb")


def load(path: str) -> tuple[SavedFinding, list[Case]]:
    """Read what `save` has written. Raises PlanError."""
    try:
        with _opened(path) as file:
            finding = msgspec.json.decode(file.read(MAX_JSON), type=SavedFinding)
        cases = [_load_case(Path(path).parent, case) for case in finding.cases[:MAX_CASES]]
    except OSError as error:
        raise PlanError(f"--again {error.filename} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"--again {path}: name a JSON file that --save has written: {error}") from error
    if not cases:
        raise PlanError(f"--again {path}: it has no image")
    return finding, cases


def _load_case(folder: Path, case: SavedCase) -> Case:
    if os.path.basename(case.image) != case.image:
        raise PlanError(f"--again: {case.image!r} is not the name of a file beside the JSON file")
    with _opened(folder / case.image) as file:
        data = file.read(MEMORY_BYTES + 1)
    if len(data) > MEMORY_BYTES:
        raise PlanError(f"--again: {case.image} is larger than {MEMORY_BYTES >> 20} MiB")
    return Case(data, case.cuts, case.declared)
