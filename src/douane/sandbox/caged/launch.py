"""Close the sandbox, test it, report to the engine, and only then load the plugin or execute the program."""

from __future__ import annotations

import gc
import marshal
import os
import sys

from . import layers, probes
from .libc import Memory, call, close_all_but, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .launch_spec import LaunchSpec

CAGED = 1
BROKEN = 70
"""Exit status if the sandbox cannot be closed (EX_SOFTWARE)."""

_POLLHUP = 16


def main() -> None:
    """Read the instructions from the descriptor in argv and follow them. Returns when the plugin has ended."""
    spec: LaunchSpec = marshal.loads(_received(int(sys.argv.pop())))  # noqa: S302  # from the engine
    report: dict[str, Any] = {"tier": spec["tier"], "layers": {}, "probes": {}}
    broken = ""
    try:
        isolated, replaced = _close(spec, report["layers"])
        if spec["tier"] != "off":
            report["probes"] = probes.attempt(spec, isolated)
            failed = [f"{name}: {result}" for name, result in report["probes"].items() if result != probes.REFUSED]
            if failed:
                broken = f"the sandbox is not closed ({'; '.join(failed)})"
        if replaced:
            report["replaced"] = replaced
            broken = broken or f"{replaced} was replaced or removed while the sandbox was built; try again"
    except Exception as error:  # after any error the sandbox is not closed, and the engine must know
        broken = f"the sandbox could not be closed ({error})"
    if broken:
        report["error"] = broken
    _send(spec["channel"], report)
    if broken or _hung_up(spec["channel"]):
        os._exit(BROKEN)
    if spec["argv"]:
        _execute(spec)
    _python(spec)


def _received(fd: int) -> bytes:
    """The instructions, which the engine sends once this process is in its cgroup. Exits if the engine ends."""
    message, length = b"", 4
    while len(message) < length:
        part = os.read(fd, 1 << 16)
        if not part:
            os._exit(BROKEN)
        message += part
        if length == 4 <= len(message):
            length += int.from_bytes(message[:4], "little")
    os.close(fd)
    return message[4:]


def _close(spec: LaunchSpec, layers_report: dict[str, Any]) -> tuple[bool, str]:
    """Put the layers on, outermost first; each leaves what the next one needs. Return whether signals stay inside, and
    a granted path that leads to another file now."""
    for number, fd in enumerate(spec["stdio"]):
        if fd != number:
            os.dup2(fd, number)
    keep = {0, 1, 2, spec["channel"], *spec["keep"]}
    close_all_but(keep | {fd for fd in (spec["leash"], spec["engine_fd"], spec["calls"]) if fd >= 0})
    tier = spec["tier"]
    layers_report["namespaces"] = spec["namespaces"]
    layers_report["cgroup"] = spec["cgroup"]
    parent = spec["engine"]
    if spec["tmpfs"][0]:
        layers.bound_tmpfs(*spec["tmpfs"])
    if tier != "off":
        layers_report["identity"] = layers.become(spec["uid"], spec["read_all"])
        layers.harden(readable=spec["calls"] >= 0 and spec["uid"] < 0)
    if spec["engine_fd"] >= 0:
        from . import keeper

        parent = keeper.split(spec["engine_fd"], spec["leash"])
    layers.die_with(parent)
    granted, replaced = _open_granted(spec)
    if tier == "off":
        for fd in granted:
            os.close(fd)
        return False, replaced
    abi = layers.landlock_abi(spec["numbers"])
    if not abi:
        raise OSError("this kernel has no Landlock")
    own_files = layers.pin_own_files(inherited=bool(spec["argv"]))
    layers_report["limits"] = layers.limit(spec["limits"])
    bounds = layers.own_bounds() if tier == "strict" else []
    read: list[str | int] = [*spec["read"], *granted, *spec["readable"], *own_files, *bounds]
    write: list[str | int] = [*spec["write"], *spec["writable"]]
    layers_report["landlock"] = layers.landlock(spec["numbers"], abi, read, spec["execute"], write, spec["folders"])
    for fd in granted:
        os.close(fd)
    if spec["calls"] >= 0:
        layers.stop_calls(spec["numbers"], spec["calls_filter"], spec["calls"])
    layers_report["seccomp"] = layers.seccomp(spec["numbers"], spec["filter"])
    return abi >= 6, replaced


def _open_granted(spec: LaunchSpec) -> tuple[list[int], str]:
    """A descriptor (O_PATH) of each granted path, and the first path that no longer leads to the file that the engine
    has opened; empty if there is none. The rule is made for the file that is compared: a path could lead to another
    file for the rule, and back again for the comparison."""
    fds, replaced = [], ""
    for path, device, inode in spec["granted"]:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            replaced = replaced or path
            continue
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) == (device, inode):
            fds.append(fd)
        else:
            os.close(fd)
            replaced = replaced or path
    return fds, replaced


def _send(channel: int, report: dict[str, Any]) -> None:
    payload = _json(report).encode("ascii")
    frame = packed((CAGED, 4), (len(payload), 4)) + payload
    try:
        while frame:
            frame = frame[os.write(channel, frame) :]
    except OSError:
        os._exit(BROKEN)  # the engine has ended


def _json(value: Any) -> str:
    # Importing json would take as long as this whole program.
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(_json(str(key)) + ":" + _json(item) for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_json(item) for item in value) + "]"
    plain = str(value).encode("ascii", "backslashreplace").decode()
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\u{ord(c):04x}" for c in plain) + '"'


def _hung_up(channel: int) -> bool:
    """Tell if the engine has ended, which may have happened before this process could notice."""
    request = Memory(packed((channel, 4), (0, 2), (0, 2)))
    call("poll", request.address, 1, 0)
    return bool(int.from_bytes(request.content()[6:8], "little") & _POLLHUP)


def _execute(spec: LaunchSpec) -> None:
    import _signal  # type: ignore[import-not-found]  # built in; signal itself imports enum

    # Python ignores these two, and a program would inherit that.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    environment = dict(os.environ)
    os.set_inheritable(spec["channel"], spec["speaks"])
    if spec["speaks"]:
        environment["DOUANE_CHANNEL"] = str(spec["channel"])
    try:
        os.execve(spec["argv"][0], list(spec["argv"]), environment)  # noqa: S606  # executing the program is the purpose
    except Exception as error:  # a traceback with status 1 would be taken for a refusal by the program
        os.write(2, f"{spec['argv'][0]} cannot be run: {error}\n".encode("ascii", "backslashreplace"))
        os._exit(126)


def _python(spec: LaunchSpec) -> None:
    sys.path[:] = spec["sys_path"]
    if spec["prefix"]:
        sys.prefix = sys.exec_prefix = spec["prefix"]
    sys.path_importer_cache.clear()
    sys.argv[:] = [spec["name"]]
    if hasattr(sys, "orig_argv"):  # Python 3.10
        sys.orig_argv[:] = [sys.orig_argv[0], spec["name"]]
    if spec["tier"] != "off" and spec["folders"]:
        from . import modes

        modes.install()
    if spec["tier"] == "strict" and spec["folders"]:
        from . import semaphores

        semaphores.install(spec["folders"][0])
    package = __name__.partition(".")[0]
    for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
        del sys.modules[name]  # a plugin may have a module of that name
    module, _, attribute = spec["entry"].partition(":")
    channel = spec["channel"]
    dict.clear(spec)  # type: ignore[arg-type]  # the plugin can inspect the frames that called it
    gc.disable()  # looking for garbage takes a fifth of the time of an import, which makes none
    __import__(module)
    gc.enable()
    getattr(sys.modules[module], attribute)(channel)
