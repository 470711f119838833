"""The programs of tests/contract/wire_c, compiled here, and scripts for the one that sends given frames."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

from douane.report import Report, Verdict
from douane_plugin import wire

SOURCES = Path(__file__).parents[1] / "contract" / "wire_c"
LISTEN = "<"
"""Receive one frame of the engine and log it."""

_compiled: dict[str, str] = {}


def compile_all(folder: Path) -> None:
    """Compile the programs; a warning of the compiler is an error."""
    for source in SOURCES.glob("*.c"):
        program = folder / source.stem
        words = ["cc", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", program, source]
        subprocess.run(words, check=True)
        _compiled[source.stem] = str(program)


def compiled(name: str) -> str:
    """The path of a program."""
    return _compiled[name]


def frame(kind: int, payload: bytes | dict[str, object] = b"") -> bytes:
    """One frame, as it is sent."""
    data = json.dumps(payload).encode() if isinstance(payload, dict) else payload
    return kind.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data


ACCEPT = frame(wire.ACCEPT, {"seen": 0})


def described(**keys: object) -> bytes:
    """A DESCRIBED frame of an inspector that reads a stream, with the fields in `keys`."""
    return frame(wire.DESCRIBED, {"api": 1, "level": 1, "kind": "inspector", "reads": "stream", **keys})


def begin(**keys: object) -> list[bytes | str]:
    """The script of a runtime until it has its image."""
    return [LISTEN, described(**keys), frame(wire.READY), LISTEN]


def binary(kind: int, *values: int) -> bytes:
    """A binary frame."""
    return frame(kind, b"".join(value.to_bytes(8, "little") for value in values))


def speaker(*words: bytes | str) -> str:
    """The `use` of a program with this script."""
    return f"wire:{compiled('speak')} " + shlex.join(word.hex() if isinstance(word, bytes) else word for word in words)


def plan(use: str, *lines: str) -> str:
    """TOML of the plugin `wired` with this `use`."""
    return "\n".join(["[[plugin]]", 'name = "wired"', f"use = {json.dumps(use)}", *lines])


def scanner(pattern: bytes, *lines: str) -> str:
    """TOML of the runtime in C that searches for a pattern."""
    return plan(f"wire:{compiled('scan')}", f'config = {{ pattern = "{pattern.hex()}" }}', *lines)


def wired(report: Report) -> Verdict:
    """The verdict of the plugin `wired`."""
    return next(verdict for verdict in report.verdicts if verdict.plugin == "wired")
