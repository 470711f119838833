"""Imports through the built-in transforms, as the whole command, and their cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import driving
from .harness import Settings
from .workspace import settle

DECOMPRESS = 'name = "decompress"\nuse = "decompress"'
OVA = 'name = "ova"\nuse = "ova"'
CONVERT = 'name = "convert"\nuse = "convert"'

EVERY_DIGEST = ("md5", "sha256", "sha512")
"""The default digests of the received and of the stored image."""

_SECTOR_BYTES = 512
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Import:
    """One import: `seconds` from start to exit, `written` bytes, the `report` of the command, and memory `peaks`.

    `written` is what the kernel accounts to the command and every process that it has waited for, sandboxed processes
    included, in units of 512 bytes (getrusage(2), ru_oublock): pages made dirty, even if discarded later, and writes
    around the cache.
    """

    seconds: float
    written: int
    report: dict[str, Any]
    peaks: dict[str, int]


def write_plan(
    path: Path, plugins: Sequence[str], digests: Sequence[str], *, received: Sequence[str] | None = None
) -> Path:
    """Write a configuration of `plugins`, each the lines of its table; `received`: digests of the received image."""
    listed = _listed(digests) if received is None else f"{_listed(digests)}\nreceived_digests = {_listed(received)}"
    tables = "".join(f"\n[[plugin]]\n{plugin}\n" for plugin in plugins)
    path.write_text(f"[import]\ndigests = {listed}\n{tables}")
    return path


def _listed(digests: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{digest}"' for digest in digests) + "]"


def run(
    settings: Settings, image: Path, plan: Path, *, stored: dict[str, str] | None = None, watch: bool = False
) -> Import:
    """Import `image` into a home that is removed again. Raises WrongOutcome, also if the stored image does not have the
    digests `stored`.

    With `watch`, `peaks` has the highest VmHWM of each name among its processes, in bytes.
    """
    home = settings.directory / "home"
    words = driving.command("import", image, plan, "--home", str(home), tier=settings.tier)
    began = time.perf_counter()
    # not as a context: wait4 waits for the process and returns its usage
    command = subprocess.Popen(words, stdout=subprocess.PIPE, env=driving.environment())
    assert command.stdout is not None
    watched = _Watched(command.pid) if watch else None
    with command.stdout:
        output = command.stdout.read()
    _, status, usage = os.wait4(command.pid, 0)
    seconds = time.perf_counter() - began
    command.returncode = os.waitstatus_to_exitcode(status)
    peaks = watched.end() if watched is not None else {}
    driving.remove_home(home)
    settle()
    if command.returncode:
        raise driving.WrongOutcome(f"the import of {image.name} ended with {command.returncode}: {output!r:.500}")
    report = json.loads(output)
    if stored is not None and any(report["stored"].get(name) != digest for name, digest in stored.items()):
        raise driving.WrongOutcome(f"the stored image of {image.name} has {report['stored']}, not {stored}")
    return Import(seconds, usage.ru_oublock * _SECTOR_BYTES, report, peaks)


class _Watched:
    """Watches the memory of all processes below `pid` in a thread, until :meth:`end`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peaks: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> dict[str, int]:
        self._over.set()
        self._thread.join()
        return self._peaks

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            pids = [self._pid]
            for pid in pids:
                try:
                    for task in Path(f"/proc/{pid}/task").iterdir():
                        pids += [int(child) for child in (task / "children").read_text().split()]
                    status = Path(f"/proc/{pid}/status").read_text()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if peak := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
                    name = "the engine" if pid == self._pid else status.split("\n", 1)[0].partition("\t")[2]
                    self._peaks[name] = max(self._peaks.get(name, 0), int(peak[1]) * 1024)
