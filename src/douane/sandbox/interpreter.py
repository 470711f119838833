"""Find the files that a Python needs to run and import, so that a sandbox shows it these and nothing else."""

from __future__ import annotations

import functools
import os
import sys

import msgspec

from douane.errors import SandboxError

from .site_paths import environment_of, search_path

OLDEST = (3, 9)
CAGED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "caged")
"""The folder of the code that closes the sandbox from inside."""

_ANSWER_WITHIN_S = 60
_SHARED_FOLDERS = {
    "/",
    *(
        f"/{name}"
        for name in ("bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root")
    ),
    *(f"/{name}" for name in ("run", "sbin", "srv", "sys", "tmp", "usr", "var", "var/lib", "var/tmp")),
    *(f"/usr/{name}" for name in ("bin", "lib", "lib64", "local", "local/etc", "local/lib", "share")),
}
"""Folders with the files of more than one program; so is each folder in /home."""

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
"""Run with -S, so that nothing installed there runs. `site` only says where it would look, because some distributions
have changed that."""


class Interpreter(msgspec.Struct, frozen=True):
    """A Python, and what it must be able to read to run and import."""

    executable: str
    """The real executable, not a virtual environment's link to it."""

    version: tuple[int, int]

    sys_path: tuple[str, ...]
    """sys.path as for `python -I`, with site-packages and the paths in .pth files."""

    read: tuple[str, ...]
    """Files and directories that must be readable."""

    prefix: str = ""
    """sys.prefix: the folder of the virtual environment, if it is one."""


class _Answer(msgspec.Struct):
    """The answers of an interpreter about itself."""

    version: tuple[int, int]
    executable: str = ""
    path: list[str] = []
    stdlib: list[str] = []
    mapped: list[str] = []
    """The files that its process has mapped."""

    sites: list[str] = []
    ctypes: bool = True


def interpreter(executable: str | os.PathLike[str] | None = None) -> Interpreter:
    """Describe the Python at `executable`; by default, the Python that runs this code. Each is examined once.

    Raises SandboxError if the Python does not run, is older than 3.9, lacks ctypes, or has no `douane_plugin`.
    """
    if executable is not None:
        return _examined(os.path.abspath(executable))
    if os.path.basename(sys.executable or "").startswith(("python", "pypy")):
        return _running()
    return _examined(_embedded())


def _embedded() -> str:
    """The Python behind a program that embeds it: uWSGI, for one, calls itself sys.executable."""
    major, minor = sys.version_info[:2]
    for prefix in (sys.prefix, sys.base_prefix):
        for name in (f"python{major}.{minor}", f"python{major}", "python"):
            path = os.path.join(prefix, "bin", name)
            if os.access(path, os.X_OK):
                return path
    raise SandboxError(
        f"{sys.executable or 'this program'} embeds a Python, and {sys.prefix}/bin has none to run plugins with; "
        "set python = for each plugin"
    )


@functools.cache
def _running() -> Interpreter:
    """Describe the Python of this process without starting another."""
    import site

    try:
        import douane_plugin
    except ImportError:
        raise SandboxError(
            f"{sys.executable} has no douane_plugin: in a checkout of Douane, run "
            f"`{sys.executable} -m pip install ./sdk`"
        ) from None
    # The entries before the standard library depend on how this process was started: a script's folder, PYTHONPATH.
    archive = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    start = next((index for index, entry in enumerate(sys.path) if entry.endswith(archive)), 0)
    user = site.getusersitepackages()
    path = [entry for entry in sys.path[start:] if entry != user]
    contract = os.path.dirname(os.path.dirname(os.path.abspath(douane_plugin.__file__)))
    if contract not in path:
        path.append(contract)  # imported by way of PYTHONPATH
    _compile_launcher()
    stdlib = os.path.dirname(os.__file__)
    with open("/proc/self/maps") as maps:
        mapped = sorted({line.split(None, 5)[5].strip() for line in maps if " /" in line})
    return _described(
        _Answer(
            version=(sys.version_info[0], sys.version_info[1]),
            executable=os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable),
            path=path,
            stdlib=[stdlib, os.path.join(sys.base_exec_prefix, sys.platlibdir, os.path.basename(stdlib))],
            mapped=mapped,
        ),
        sys.prefix,
    )


def _compile_launcher() -> None:
    """Compile the launcher's modules if they changed; without that, each start takes 5 ms longer."""
    for name in os.listdir(CAGED):
        if not name.endswith(".py"):
            continue
        source = os.path.join(CAGED, name)
        compiled = os.path.join(CAGED, "__pycache__", f"{name[:-3]}.{sys.implementation.cache_tag}.pyc")
        try:
            is_stale = os.stat(compiled).st_mtime < os.stat(source).st_mtime
        except OSError:
            is_stale = True
        if is_stale:
            import py_compile

            try:
                py_compile.compile(source, doraise=True)
            except (OSError, py_compile.PyCompileError):
                break


@functools.cache
def _examined(executable: str) -> Interpreter:
    """Describe the Python at `executable` by running it."""
    answer = _ask(executable)
    major, minor = answer.version
    if (major, minor) < OLDEST:
        raise SandboxError(f"{executable} is Python {major}.{minor}; a plugin needs 3.9 or later")
    if not answer.ctypes:
        raise SandboxError(
            f"{executable} was built without ctypes, which the sandbox needs: install libffi's headers and build that "
            "Python again"
        )
    answer.path = search_path(answer.path, answer.sites)
    prefix = environment_of(executable).prefix
    if not any(os.path.isfile(os.path.join(entry, "douane_plugin", "__init__.py")) for entry in answer.path):
        raise SandboxError(
            f"{executable} has no douane_plugin: in a checkout of Douane, run `{executable} -m pip install ./sdk`. "
            "Paths that only an `import` line in a .pth file adds are not used: such lines are not run"
        )
    return _described(answer, prefix)


def _ask(executable: str) -> _Answer:
    """Run `executable` and read its answer. Raises SandboxError."""
    import subprocess

    environment = environment_of(executable)
    system = "system" if environment.system else ""
    try:
        process = subprocess.run(
            [executable, "-I", "-S", "-c", _QUESTION, CAGED, environment.prefix, system],
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
        raise SandboxError(f"the Python {executable} did not answer within {_ANSWER_WITHIN_S} s") from error
    lines = process.stdout.splitlines() or [b""]
    try:
        return msgspec.json.decode(lines[-1], type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        errors = process.stderr.decode(errors="replace").strip().splitlines()
        raise SandboxError(
            f"{executable} does not answer as a Python does (exit {process.returncode}"
            + (f", {errors[-1]:.200}" if errors else "")
            + "): give the path of a Python 3.9 or later"
        ) from error


def _described(answer: _Answer, prefix: str) -> Interpreter:
    path = tuple(entry for entry in answer.path if os.path.isabs(entry) and os.path.exists(entry))
    for entry in path:
        if _is_shared(os.path.realpath(entry)) or _is_shared(entry):
            raise SandboxError(
                f"{answer.executable} has {entry} on its sys.path, and a plugin must not see all of that folder: "
                f"remove it from the .pth files, or use another Python"
            )
    read: dict[str, None] = dict.fromkeys((answer.executable,))
    read.update(dict.fromkeys(entry for entry in (*answer.stdlib, *path) if entry and os.path.exists(entry)))
    folders = [os.path.realpath(entry) + "/" for entry in read]
    system = library_folders(answer.mapped)
    for mapped in answer.mapped:
        real = os.path.realpath(mapped)
        if ".so" in os.path.basename(real) and not any(real.startswith(folder) for folder in (*folders, *system)):
            read[mapped] = None  # a shared libpython, or a library that came with this Python
    read.update(dict.fromkeys(folder.rstrip("/") for folder in system))
    read.update(dict.fromkeys(entry for entry in ("/etc/ld.so.cache",) if os.path.exists(entry)))
    return Interpreter(answer.executable, answer.version, path, tuple(_without_nested(read)), prefix)


def _is_shared(folder: str) -> bool:
    return folder in _SHARED_FOLDERS or os.path.dirname(folder) == "/home"


def library_folders(mapped: list[str]) -> tuple[str, ...]:
    """The system's folders of shared libraries, each with a slash at its end.

    `mapped` are the files that a process has mapped. The C library's folder is among them on every system:
    /usr/lib/x86_64-linux-gnu, /usr/lib64 or /usr/lib.
    """
    folders: dict[str, None] = {}
    for name in mapped:
        base = os.path.basename(name)
        if base.startswith(("libc.so", "libc-", "libc.musl", "ld-", "libm.so")):
            folders[os.path.dirname(os.path.realpath(name)) + "/"] = None
    for folder in ("/lib64", "/usr/lib64"):
        if os.path.isdir(folder):
            folders[folder + "/"] = None
    return tuple(folders)


def _without_nested(paths: dict[str, None]) -> list[str]:
    """Drop paths inside other paths of `paths`."""
    return [
        entry
        for entry in paths
        if not any(entry != other and entry.startswith(other.rstrip("/") + "/") for other in paths)
    ]
