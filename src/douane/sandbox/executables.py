"""Find what must be readable and executable for the programs that a plugin may run."""

from __future__ import annotations

import os
import struct

import msgspec

from douane.errors import SandboxError

from .spec import Program, PythonRuntime, SandboxSpec

_SCRIPT_FOLDERS = ("/bin", "/usr/bin", "/usr/lib", "/lib", "/lib64", "/usr/lib64")
"""What a script may use: the system's programs and libraries."""

_SHELLS = frozenset(("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"))

_PT_INTERP = 3


class Executables(msgspec.Struct, frozen=True):
    """What can be executed and read, and what only read; `programs` tells if fork and exec are allowed at all."""

    programs: bool
    execute: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


def executables(sandbox: SandboxSpec, run: PythonRuntime | Program) -> Executables:
    """The programs of `sandbox` and `run`, and their loaders. Raises SandboxError for a program that cannot run."""
    programs = dict.fromkeys(map(str, sandbox.programs))
    if isinstance(run, Program):
        if not run.argv or not os.path.isabs(run.argv[0]):
            raise SandboxError(f"{sandbox.name}: the path of a program must be absolute, not {run.argv[:1]!r:.80}")
        programs[run.argv[0]] = None
    execute: dict[str, None] = {}
    read: dict[str, None] = {}
    for program in programs:
        if not os.access(program, os.X_OK) or not os.path.isfile(program):
            raise SandboxError(f"{sandbox.name}: the program {program} does not exist or is not executable")
        execute[program] = None
        read.update(dict.fromkeys(_python_libraries(program)))
        try:
            with open(program, "rb") as file:
                head = file.read(4096)
        except OSError:
            continue  # executable but not readable: the kernel can run the program, but we cannot see its loader
        if os.path.basename(os.path.realpath(program)) in _SHELLS:  # `exec:/bin/sh -c ...`: a script in the plan
            execute.update(dict.fromkeys(filter(os.path.exists, _SCRIPT_FOLDERS)))
        elif head.startswith(b"#!"):
            execute.update(dict.fromkeys(filter(os.path.exists, _SCRIPT_FOLDERS)))
            words = head[2:].split(b"\n", 1)[0].split()
            if words and os.path.isabs(words[0]):
                interpreter = os.fsdecode(words[0])
                execute[interpreter] = None
                read.update(dict.fromkeys(_python_libraries(interpreter)))
        elif loader := _loader(head):
            execute[loader] = None
    return Executables(programs=bool(programs), execute=tuple(execute), read=tuple(read))


def _python_libraries(program: str) -> list[str]:
    """What a Python reads before any script: its own library, and the virtual environment that it belongs to."""
    real = os.path.realpath(program)
    name = os.path.basename(real)
    if not name.startswith("python") or name.removeprefix("python").strip("0123456789."):
        return []
    prefix = os.path.dirname(os.path.dirname(real))
    places = [f"{prefix}/{folder}/{library}" for folder in ("lib", "lib64") for library in (name, "python3")]
    environment = os.path.dirname(os.path.dirname(program))
    settings = f"{environment}/pyvenv.cfg"
    if os.path.isfile(settings):
        places += [settings, f"{environment}/lib", f"{environment}/lib64"]
    return [place for place in places if os.path.exists(place)]


def find_program(name: str) -> str | None:
    """The path of the program `name`, a path or a name in PATH; None if there is none.

    The same as `shutil.which`, without the 3 ms that importing shutil takes.
    """
    if "/" in name:
        return name if os.path.isfile(name) and os.access(name, os.X_OK) else None
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _loader(head: bytes) -> str | None:
    """The program interpreter that a 64-bit ELF file names (elf(5), PT_INTERP)."""
    if head[:5] != b"\x7fELF\x02":
        return None
    try:
        (offset,) = struct.unpack_from("<Q", head, 0x20)
        size, count = struct.unpack_from("<HH", head, 0x36)
        for index in range(count):
            position = offset + index * size
            if struct.unpack_from("<I", head, position)[0] == _PT_INTERP:
                start, _, _, length = struct.unpack_from("<QQQQ", head, position + 8)
                return os.fsdecode(head[start : start + length].rstrip(b"\0"))
    except struct.error:
        pass  # a header beyond the first page: the kernel would not read it either
    return None
