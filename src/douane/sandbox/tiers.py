"""What this machine can give, tier by tier, found out by trying."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
from dataclasses import dataclass

from douane.errors import SandboxError, SandboxUnavailable

from . import host_limits as ulimits
from . import seccomp
from .cage import Bounds, Cage, PythonRuntime, Tier
from .cgroup import MEMORY_WITHOUT, TASKS_WITHOUT
from .cgroup_delegation import REMEDY, Absent, delegated
from .interpreter import interpreter
from .landlock import landlock_abi
from .mounts import command
from .self_test import CageReport, confirm
from .spawn import bubblewrap, start

_TRY_WITHIN_S = 20
_ABI_WISHED = 6
"""From this Landlock version on signals and abstract sockets stay inside without a namespace."""

_SWITCHES = (
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor allows user namespaces only to programs with a profile: give bwrap one "
        "(/etc/apparmor.d/bwrap with `userns,`; the package apparmor-profiles has it)",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are switched off: `sysctl kernel.unprivileged_userns_clone=1`",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "user namespaces are switched off: `sysctl user.max_user_namespaces=15000`",
    ),
)


@dataclass(frozen=True)
class Layer:
    """One layer of a tier, as this machine has it."""

    tier: Tier
    """The weakest tier that uses it."""

    name: str
    ok: bool
    detail: str
    """What was found, for a person."""

    remedy: str = ""
    """What to do about it, empty if nothing is needed."""

    optional: bool = False
    """No tier needs it."""


def examine() -> list[Layer]:
    """Every layer, really tried: one cage of each tier is built and tested. Takes about 0.1 s."""
    layers = [_ulimits(), _libseccomp(), _landlock(), _bubblewrap()]
    if layers[-1].ok:
        layers.append(_namespaces())
    layers.append(_cgroup())
    layers += [_whole_cage(tier) for tier in (Tier.STRICT, Tier.FULL)]
    return layers


def available() -> Tier:
    """The strongest tier whose layers are there; `off` if not even `strict`. Costs one start of bwrap, once."""
    if _missing(Tier.STRICT):
        return Tier.OFF
    return Tier.STRICT if _missing(Tier.FULL) else Tier.FULL


def choose(asked: Tier | None, minimum: Tier) -> Tier:
    """The tier to run in: the one `asked` for by name, else the best available.

    `minimum` is the floor where nobody asked; a tier asked for by name is the operator's own floor for this
    run. Raises SandboxUnavailable, which says what is missing and what to do, if the machine does not give it, and
    SandboxError if a limit of this process (ulimit) is too low for any.
    """
    ulimits.check()
    if asked is Tier.OFF:
        return asked
    best = available() if asked is None else asked
    floor = minimum if asked is None else asked
    if best.strength >= floor.strength:
        missing = [] if asked is None else _missing(asked)
        if not missing:
            return best
    else:
        missing = _missing(floor)
    reasons = "; ".join(f"{layer.name}: {layer.detail}" for layer in missing)
    remedies = "; ".join(dict.fromkeys(layer.remedy for layer in missing if layer.remedy))
    raise SandboxUnavailable(
        f"this machine does not give the sandbox tier {floor.value} ({reasons}). "
        + (f"To get it: {remedies}. " if remedies else "")
        + "`douane doctor` shows every layer"
    )


def _missing(tier: Tier) -> list[Layer]:
    needed = [] if tier is Tier.OFF else [_libseccomp(), _landlock()]
    if tier is Tier.FULL:
        needed.append(_bubblewrap())
        if needed[-1].ok:
            needed.append(_namespaces())
    return [layer for layer in needed if not layer.ok]


def _ulimits() -> Layer:
    try:
        ulimits.check()
    except SandboxError as error:
        return Layer(Tier.OFF, "ulimit", False, "a limit is too low", str(error))
    return Layer(Tier.OFF, "ulimit", True, "no limit is too low")


def _cgroup() -> Layer:
    """Really made, bounded and removed again."""
    base = delegated()
    if isinstance(base, Absent):
        instead = f"{base.reason}. Without it: {MEMORY_WITHOUT}; {TASKS_WITHOUT}"
        return Layer(Tier.STRICT, "cgroup", False, instead, REMEDY, optional=True)
    try:
        leaf = base.leaf(Bounds(), programs=False)
    except OSError as error:
        detail = f"in {base.folder} no cgroup can be made ({error.strerror}). Without it: {MEMORY_WITHOUT}"
        return Layer(Tier.STRICT, "cgroup", False, f"{detail}; {TASKS_WITHOUT}", REMEDY, optional=True)
    try:
        return Layer(Tier.STRICT, "cgroup", True, leaf.kept(), optional=True)
    finally:
        leaf.close()


@functools.cache
def _libseccomp() -> Layer:
    try:
        size = len(seccomp.program(programs=False, signals=landlock_abi() >= _ABI_WISHED)) // 8
    except SandboxError as error:
        return Layer(Tier.STRICT, "seccomp", False, str(error), "install libseccomp 2.5 or later")
    return Layer(Tier.STRICT, "seccomp", True, f"a filter of {size} instructions")


@functools.cache
def _landlock() -> Layer:
    abi = landlock_abi()
    if not abi:
        return Layer(
            Tier.STRICT,
            "landlock",
            False,
            "this kernel has no Landlock, or it was not enabled at boot",
            "use Linux 5.13 or later, and put `landlock` into the boot parameter lsm=",
        )
    if abi < _ABI_WISHED:
        return Layer(
            Tier.STRICT,
            "landlock",
            True,
            f"version {abi}; without namespaces a plugin may not send signals, not even to itself",
            "Linux 6.12 or later keeps signals inside",
        )
    return Layer(Tier.STRICT, "landlock", True, f"version {abi}")


@functools.cache
def _bubblewrap() -> Layer:
    try:
        path = bubblewrap()
    except SandboxUnavailable as error:
        return Layer(Tier.FULL, "bubblewrap", False, str(error), "install the package bubblewrap")
    return Layer(Tier.FULL, "bubblewrap", True, path)


@functools.cache
def _namespaces() -> Layer:
    root = os.geteuid() == 0
    info, told = os.pipe2(os.O_CLOEXEC)
    words = command(bubblewrap(), [], own_user=root, read_all=False, info_fd=told)
    at = words.index("--proc")
    try:
        tried = subprocess.run(
            [*words[:at], "--ro-bind", "/", "/", "--proc", "/proc", "--", bubblewrap(), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRY_WITHIN_S,
            pass_fds=(told, info),  # with nobody to read it, bwrap dies of SIGPIPE and leaves its child waiting
            env={},
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Layer(Tier.FULL, "namespaces", False, f"bwrap could not be tried: {error}")
    finally:
        os.close(info)
        os.close(told)
    if tried.returncode == 0:
        return Layer(Tier.FULL, "namespaces", True, "pid, net, ipc, uts, mount" + ("" if root else ", user"))
    said = tried.stderr.decode(errors="replace").strip() or f"bwrap ended with {tried.returncode}"
    return Layer(Tier.FULL, "namespaces", False, said[:300], _remedy())


def _remedy() -> str:
    for path, bad, remedy in _SWITCHES:
        try:
            with open(path) as file:
                if file.read().strip() == bad and os.geteuid() != 0:
                    return remedy
        except OSError:
            continue  # this kernel has no such switch
    return (
        "inside a container, allow it to make namespaces and to mount a new /proc "
        "(Docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined), or use tier strict"
    )


def _whole_cage(tier: Tier) -> Layer:
    """Build one, and let it test itself."""
    if missing := _missing(tier):
        return Layer(tier, "cage", False, "not tried: " + ", ".join(layer.name for layer in missing))
    try:
        report = _try(Cage(tier, interpreter(), name="doctor"))
    except (SandboxError, OSError) as error:
        return Layer(tier, "cage", False, str(error), "use a weaker tier, and report this")
    detail = f"closed: {len(report.probes)} attempts to get out were refused"
    return Layer(tier, "cage", True, "; ".join((detail, *report.notes)))


def _try(cage: Cage) -> CageReport:
    near, far = socket.socketpair()
    with near, far, open(os.devnull, "wb") as nowhere:
        near.settimeout(_TRY_WITHIN_S)
        process = start(
            cage,
            PythonRuntime("posix:close"),
            channel=far.fileno(),
            stdout=nowhere.fileno(),
            stderr=nowhere.fileno(),
        )
        far.close()
        try:
            header = near.recv(8, socket.MSG_WAITALL)
            return confirm(near.recv(int.from_bytes(header[4:8], "little"), socket.MSG_WAITALL), cage)
        finally:
            process.kill()
