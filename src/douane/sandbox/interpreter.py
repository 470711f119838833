"""What a Python needs to run and import: found out once, so that a cage can show it that and nothing else."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import py_compile
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from douane.errors import SandboxError

from .site_paths import environment_of, search_path

OLDEST = (3, 9)
CAGED = Path(__file__).with_name("caged")
"""The code that closes the cage from inside."""

_ANSWER_WITHIN_S = 60
_PYTHON = re.compile(r"python|pypy")
_TOO_WIDE = re.compile(
    r"/|/(bin|boot|dev|etc|home|lib|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)"
    r"|/home/[^/]+|/usr/(bin|lib|lib64|local|local/etc|local/lib|share)|/var/(lib|tmp)"
)
"""Directories that hold more than one program's files."""

_QUESTION = """
import glob, json, os, site, sys, sysconfig
answer = {"version": list(sys.version_info[:2]), "path": sys.path}
answer["executable"] = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
answer["stdlib"] = [sysconfig.get_path("stdlib")]
answer["stdlib"].append(sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix}))
try:
    import _ctypes
    answer["ctypes"] = True
except ImportError:
    answer["ctypes"] = False
with open("/proc/self/maps") as maps:
    answer["mapped"] = sorted({line.split(None, 5)[5].strip() for line in maps if " /" in line})
import py_compile
for source in glob.glob(os.path.join(sys.argv[1], "*.py")):
    try:
        py_compile.compile(source, doraise=True)
    except Exception:
        pass
environment, system = sys.argv[2:4]
answer["sites"] = []
if environment:
    sys.prefix = sys.exec_prefix = environment
    answer["sites"] += site.getsitepackages([environment])
if system:
    sys.prefix, sys.exec_prefix = sys.base_prefix, sys.base_exec_prefix
    answer["sites"] += site.getsitepackages([sys.prefix, sys.exec_prefix])
print(json.dumps(answer))
"""
"""Asked with -S, so that nothing that is installed there runs. `site` only says where it would look, which some
distributions have changed."""


@dataclass(frozen=True)
class Interpreter:
    """A Python, and what it must be able to read to run and import."""

    executable: Path
    """The real one, not a virtual environment's link to it."""

    version: tuple[int, int]

    sys_path: tuple[str, ...]
    """What sys.path will be: that of `python -I`, so with site-packages and the paths in .pth files."""

    read: tuple[Path, ...]
    """Files and directories that must be readable."""


def interpreter(executable: Path | None = None) -> Interpreter:
    """Describe the Python at `executable`, or the one that runs this, or of which this is a part. Asked once.

    Raises SandboxError if it does not run, is older than 3.9, lacks ctypes, or has no `douane_plugin`.
    """
    if executable is not None:
        return _other(Path(os.path.abspath(executable)))
    return _own() if _PYTHON.match(os.path.basename(sys.executable or "")) else _other(_embedded())


def _embedded() -> Path:
    """The Python of which this process is no more than a part: uWSGI, for one, calls itself sys.executable."""
    major, minor = sys.version_info[:2]
    for prefix in (sys.prefix, sys.base_prefix):
        for name in (f"python{major}.{minor}", f"python{major}", "python"):
            found = Path(prefix, "bin", name)
            if os.access(found, os.X_OK):
                return found
    raise SandboxError(
        f"{sys.executable or 'this program'} has a Python in it, and there is none in {sys.prefix}/bin that plugins "
        "could be run with; set python = beside each plugin"
    )


@functools.cache
def _own() -> Interpreter:
    import site

    # What precedes the standard library came from the way we were started: a script's folder, PYTHONPATH.
    path = list(sys.path)
    archive = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    path = path[next((at for at, entry in enumerate(path) if entry.endswith(archive)), 0) :]
    contract = importlib.util.find_spec("douane_plugin")
    if contract is None or not contract.origin:
        raise SandboxError(
            f"{sys.executable} has no douane_plugin: run `{sys.executable} -m pip install douane-plugin`"
        )
    home = os.path.dirname(os.path.dirname(contract.origin))
    if home not in path:
        path.append(home)  # where it was found by PYTHONPATH
    user = site.getusersitepackages()
    for source in CAGED.glob("*.py"):
        compiled = Path(source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc")
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            # Only the start-up time depends on it: 5 ms for every cage if it cannot be written.
            try:
                py_compile.compile(str(source), doraise=True)
            except (OSError, py_compile.PyCompileError):
                break
    return _described(
        {
            "version": list(sys.version_info[:2]),
            "path": [entry for entry in path if entry != user],
            "executable": os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable),
            "stdlib": [
                sysconfig.get_path("stdlib"),
                sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix}),
            ],
            "mapped": _mapped(),
        }
    )


def _mapped() -> list[str]:
    with open("/proc/self/maps") as maps:
        return sorted({line.split(None, 5)[5].strip() for line in maps if " /" in line})


@functools.cache
def _other(executable: Path) -> Interpreter:
    environment = environment_of(executable)
    system = "system" if environment.system else ""
    try:
        asked = subprocess.run(
            [str(executable), "-I", "-S", "-c", _QUESTION, str(CAGED), environment.prefix, system],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_WITHIN_S,
            env={"LANG": "C.UTF-8"},
            check=False,
        )
    except OSError as error:
        raise SandboxError(
            f"the Python {executable} cannot be started ({error.strerror}): "
            "give the path of a Python 3.9 or later, for example that of a virtual environment"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"the Python {executable} gave no answer in {_ANSWER_WITHIN_S} s") from error
    try:
        answer: dict[str, Any] = json.loads(asked.stdout.decode().splitlines()[-1])
        answer["version"][1]
    except (ValueError, LookupError, TypeError) as error:
        said = asked.stderr.decode(errors="replace").strip().splitlines()
        raise SandboxError(
            f"{executable} does not answer as a Python does (exit {asked.returncode}"
            + (f", {said[-1]:.200}" if said else "")
            + "): give the path of a Python 3.9 or later"
        ) from error
    major, minor = answer["version"]
    if (major, minor) < OLDEST:
        raise SandboxError(f"{executable} is Python {major}.{minor}; a plugin needs 3.9 or later")
    if not answer["ctypes"]:
        raise SandboxError(
            f"{executable} was built without ctypes, which the sandbox needs: install libffi's headers, "
            "build that Python again"
        )
    answer["path"] = search_path(answer["path"], answer["sites"])
    if not any(os.path.isfile(os.path.join(entry, "douane_plugin", "__init__.py")) for entry in answer["path"]):
        raise SandboxError(
            f"{executable} has no douane_plugin: run `{executable} -m pip install douane-plugin` (one that only an "
            "`import` line in a .pth file makes known is not found: these lines are not run)"
        )
    return _described(answer)


def _described(answer: dict[str, Any]) -> Interpreter:
    path = tuple(entry for entry in answer["path"] if os.path.isabs(entry) and os.path.exists(entry))
    for entry in path:
        if _TOO_WIDE.fullmatch(os.path.realpath(entry)) or _TOO_WIDE.fullmatch(entry):
            raise SandboxError(
                f"{answer['executable']} has {entry} on its sys.path, and a plugin must not be shown all of "
                f"that: take it out of the .pth files, or use another Python"
            )
    read: dict[str, None] = dict.fromkeys((answer["executable"],))
    read.update(dict.fromkeys(entry for entry in (*answer["stdlib"], *path) if entry and os.path.exists(entry)))
    folders = [os.path.realpath(entry) + "/" for entry in read]
    system = library_folders(answer["mapped"])
    for mapped in answer["mapped"]:
        real = os.path.realpath(mapped)
        if ".so" in os.path.basename(real) and not any(real.startswith(folder) for folder in (*folders, *system)):
            read[mapped] = None  # a shared libpython, or a library that it brought along
    read.update(dict.fromkeys(folder.rstrip("/") for folder in system))
    read.update(dict.fromkeys(entry for entry in ("/etc/ld.so.cache",) if os.path.exists(entry)))
    major, minor = answer["version"]
    return Interpreter(
        executable=Path(answer["executable"]),
        version=(major, minor),
        sys_path=path,
        read=tuple(Path(entry) for entry in _without_nested(read)),
    )


def library_folders(mapped: list[str]) -> tuple[str, ...]:
    """The system's folders of shared libraries, each with a slash at its end.

    `mapped` are the files that a process has mapped: the C library's folder is among them on every system,
    /usr/lib/x86_64-linux-gnu, /usr/lib64 or /usr/lib.
    """
    found: dict[str, None] = {}
    for name in mapped:
        base = os.path.basename(name)
        if base.startswith(("libc.so", "libc-", "libc.musl", "ld-", "libm.so")):
            found[os.path.dirname(os.path.realpath(name)) + "/"] = None
    for folder in ("/lib64", "/usr/lib64"):
        if os.path.isdir(folder):
            found[folder + "/"] = None
    return tuple(found)


def _without_nested(paths: dict[str, None]) -> list[str]:
    """Drop what lies below another entry."""
    return [
        entry
        for entry in paths
        if not any(entry != other and entry.startswith(other.rstrip("/") + "/") for other in paths)
    ]
