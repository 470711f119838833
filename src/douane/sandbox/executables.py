"""What must be readable and executable for the programs that a plugin may run."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from douane.errors import SandboxError

from .cage import Cage, Program, PythonRuntime

_SHELL_WORLD = tuple(Path(name) for name in ("/bin", "/usr/bin", "/usr/lib", "/lib", "/lib64", "/usr/lib64"))
"""What a script may use: the system's programs and libraries."""

_SHELLS = frozenset(("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"))

_PT_INTERP = 3


@dataclass(frozen=True)
class Executables:
    """What can be executed, and read; `programs` says whether fork and exec are allowed at all."""

    programs: bool
    execute: tuple[Path, ...] = ()


def executables(cage: Cage, run: PythonRuntime | Program) -> Executables:
    """The programs of `cage` and `run` with their loaders. Raises SandboxError for one that cannot be run."""
    programs = dict.fromkeys(cage.programs)
    if isinstance(run, Program):
        if not run.argv or not os.path.isabs(run.argv[0]):
            raise SandboxError(f"{cage.name}: a program is given by its absolute path, not {run.argv[:1]!r:.80}")
        programs[Path(run.argv[0])] = None
    execute: dict[Path, None] = {}
    for program in programs:
        if not os.access(program, os.X_OK) or not os.path.isfile(program):
            raise SandboxError(f"{cage.name}: the program {program} is not there or not executable")
        execute[program] = None
        try:
            with open(program, "rb") as file:
                head = file.read(4096)
        except OSError:
            continue  # executable but not readable: the kernel can do with that, we see no loader
        if program.resolve().name in _SHELLS:  # `exec:/bin/sh -c ...`: a script that stands in the configuration
            execute.update(dict.fromkeys(path for path in _SHELL_WORLD if path.exists()))
        elif head.startswith(b"#!"):
            execute.update(dict.fromkeys(path for path in _SHELL_WORLD if path.exists()))
            words = head[2:].split(b"\n", 1)[0].split()
            if words and os.path.isabs(words[0]):
                execute[Path(os.fsdecode(words[0]))] = None
        elif loader := _loader(head):
            execute[loader] = None
    return Executables(programs=bool(programs), execute=tuple(execute))


def _loader(head: bytes) -> Path | None:
    """The program interpreter that a 64-bit ELF file names (elf(5), PT_INTERP)."""
    if head[:5] != b"\x7fELF\x02":
        return None
    try:
        (offset,) = struct.unpack_from("<Q", head, 0x20)
        size, count = struct.unpack_from("<HH", head, 0x36)
        for index in range(count):
            at = offset + index * size
            if struct.unpack_from("<I", head, at)[0] == _PT_INTERP:
                start, _, _, length = struct.unpack_from("<QQQQ", head, at + 8)
                return Path(os.fsdecode(head[start : start + length].rstrip(b"\0")))
    except struct.error:
        pass  # a header beyond the first page: the kernel would not read it either
    return None
