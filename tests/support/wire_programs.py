"""The programs of tests/contract/wire_c, compiled here, and what the one that says anything is told to say."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

from douane.report import Report, Verdict
from douane_plugin import wire

SOURCES = Path(__file__).parents[1] / "contract" / "wire_c"
LISTEN = "<"
"""Take one frame of the engine and show it."""

_made: dict[str, str] = {}


def compile_all(folder: Path) -> None:
    """Make the programs as their first lines say; a warning of the compiler is an error."""
    for source in SOURCES.glob("*.c"):
        made = folder / source.stem
        words = ["cc", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", made, source]
        subprocess.run(words, check=True)
        _made[source.stem] = str(made)


def compiled(name: str) -> str:
    """The path of a program."""
    return _made[name]


def frame(kind: int, payload: bytes | dict[str, object] = b"") -> bytes:
    """One frame, as it is sent."""
    data = json.dumps(payload).encode() if isinstance(payload, dict) else payload
    return kind.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data


ACCEPT = frame(wire.ACCEPT, {"seen": 0})


def described(**keys: object) -> bytes:
    """DESCRIBED of an inspector that reads a stream, or of what `keys` say."""
    return frame(wire.DESCRIBED, {"api": 1, "level": 1, "kind": "inspector", "reads": "stream", **keys})


def begin(**keys: object) -> list[bytes | str]:
    """What a runtime says until it has its image."""
    return [LISTEN, described(**keys), frame(wire.READY), LISTEN]


def binary(kind: int, *values: int) -> bytes:
    """A binary frame."""
    return frame(kind, b"".join(value.to_bytes(8, "little") for value in values))


def speaker(*said: bytes | str) -> str:
    """The `use` of a program that says this."""
    return f"wire:{compiled('speak')} " + shlex.join(word.hex() if isinstance(word, bytes) else word for word in said)


def plan(use: str, *lines: str) -> str:
    """TOML of the plugin `wired` that runs this."""
    return "\n".join(["[[plugin]]", 'name = "wired"', f"use = {json.dumps(use)}", *lines])


def scanner(pattern: bytes, *lines: str) -> str:
    """TOML of the runtime in C that looks for a pattern."""
    return plan(f"wire:{compiled('scan')}", f'config = {{ pattern = "{pattern.hex()}" }}', *lines)


def wired(report: Report) -> Verdict:
    """Its verdict."""
    return next(verdict for verdict in report.verdicts if verdict.plugin == "wired")
