"""Close the cage, try its walls, tell the engine, and only then load what it is for."""

from __future__ import annotations

import marshal
import os
import sys

from . import layers, probes
from .libc import Memory, call, close_all_but, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CAGED = 1
BROKEN = 70
"""Exit status when the cage cannot be closed (EX_SOFTWARE)."""

_POLLHUP = 16


def main() -> None:
    """Read the order from the descriptor in argv and carry it out. Does not return before the plugin ends."""
    spec: dict[str, Any] = marshal.loads(_ordered(int(sys.argv.pop())))  # noqa: S302  # from the engine
    report: dict[str, Any] = {"tier": spec["tier"], "layers": {}, "probes": {}}
    broken = ""
    try:
        _close(spec, report["layers"])
        if spec["tier"] != "off":
            report["probes"] = probes.attempt(spec)
            through = [f"{name}: {result}" for name, result in report["probes"].items() if result != probes.REFUSED]
            if through:
                broken = f"the cage is not closed ({'; '.join(through)})"
    except Exception as error:  # whatever it is, the cage is not closed, and the engine must be told
        broken = f"the cage could not be closed ({error})"
    if broken:
        report["error"] = broken
    _tell(spec["channel"], report)
    if broken or _hung_up(spec["channel"]):
        os._exit(BROKEN)
    if spec["argv"]:
        _execute(spec)
    _python(spec)


def _ordered(fd: int) -> bytes:
    """What the engine tells, once this process is where it belongs. Ends with the engine."""
    told, length = b"", 4
    while len(told) < length:
        more = os.read(fd, 1 << 16)
        if not more:
            os._exit(BROKEN)
        told += more
        if length == 4 <= len(told):
            length += int.from_bytes(told[:4], "little")
    os.close(fd)
    return told[4:]


def _close(spec: dict[str, Any], done: dict[str, Any]) -> None:
    """Put the layers on, outermost first; each leaves what the next one needs."""
    for number, fd in enumerate(spec["stdio"]):
        if fd != number:
            os.dup2(fd, number)
    kept = {0, 1, 2, spec["channel"], *spec["keep"]}
    close_all_but(kept | {fd for fd in (spec["leash"], spec["engine_fd"]) if fd >= 0})
    tier = spec["tier"]
    done["namespaces"] = spec["namespaces"]
    done["cgroup"] = spec["cgroup"]
    parent = spec["engine"]
    if tier != "off":
        done["identity"] = layers.become(spec["uid"], spec["read_all"])
        layers.harden()
    if spec["engine_fd"] >= 0:
        from . import keeper

        parent = keeper.split(spec["engine_fd"], spec["leash"])
    layers.die_with(parent)
    if tier == "off":
        return
    done["limits"] = layers.limit(spec["limits"])
    abi = layers.landlock_abi(spec["numbers"])
    if not abi:
        raise OSError("this kernel has no Landlock")
    read = [*spec["read"], *spec["readable"]]
    write = [*spec["write"], *spec["writable"]]
    done["landlock"] = layers.landlock(spec["numbers"], abi, read, spec["execute"], write)
    spec["landlock_signals"] = abi >= 6
    done["seccomp"] = layers.seccomp(spec["numbers"], spec["filter"])


def _tell(channel: int, report: dict[str, Any]) -> None:
    payload = _json(report).encode("ascii")
    frame = packed((CAGED, 4), (len(payload), 4)) + payload
    try:
        while frame:
            frame = frame[os.write(channel, frame) :]
    except OSError:
        os._exit(BROKEN)  # nobody is there to be told


def _json(value: Any) -> str:
    # The json module would cost as much as all of this program.
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(_json(str(key)) + ":" + _json(each) for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_json(each) for each in value) + "]"
    plain = str(value).encode("ascii", "backslashreplace").decode()
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\u{ord(c):04x}" for c in plain) + '"'


def _hung_up(channel: int) -> bool:
    """True if the engine has gone: closes the moment before its death could be noticed."""
    held = Memory(packed((channel, 4), (0, 2), (0, 2)))
    call("poll", held.address, 1, 0)
    return bool(int.from_bytes(held.content()[6:8], "little") & _POLLHUP)


def _execute(spec: dict[str, Any]) -> None:
    import _signal  # type: ignore[import-not-found]  # built in; signal itself imports enum

    # Python ignores these two, and a program would inherit that.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    environment = dict(os.environ)
    os.set_inheritable(spec["channel"], spec["speaks"])
    if spec["speaks"]:
        environment["DOUANE_CHANNEL"] = str(spec["channel"])
    try:
        os.execve(spec["argv"][0], list(spec["argv"]), environment)  # noqa: S606  # that is what it is for
    except Exception as error:  # a traceback with status 1 would read as a refusal by the program
        os.write(2, f"{spec['argv'][0]} cannot be run: {error}\n".encode("ascii", "backslashreplace"))
        os._exit(126)


def _python(spec: dict[str, Any]) -> None:
    sys.path[:] = spec["sys_path"]
    sys.path_importer_cache.clear()
    sys.argv[:] = [spec["name"]]
    if hasattr(sys, "orig_argv"):  # Python 3.10
        sys.orig_argv[:] = [sys.orig_argv[0], spec["name"]]
    package = __name__.partition(".")[0]
    for name in [each for each in sys.modules if each == package or each.startswith(package + ".")]:
        del sys.modules[name]  # a plugin may have a module of that name
    module, _, attribute = spec["entry"].partition(":")
    channel = spec["channel"]
    spec.clear()  # the plugin can look at the frames that it was called from
    __import__(module)
    getattr(sys.modules[module], attribute)(channel)
