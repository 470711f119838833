"""Find out which tiers this host supports, by trying each layer."""

from __future__ import annotations

import functools
import os
import socket
import subprocess

import msgspec

from douane.errors import SandboxError, SandboxUnavailable

from . import host_limits, seccomp
from .cgroup import MEMORY_WITHOUT, TASKS_WITHOUT
from .cgroup_delegation import REMEDY, Absent, delegated
from .interpreter import interpreter
from .landlock import landlock_abi
from .launch_spec import SIGNALS_STAY_INSIDE
from .mounts import command
from .self_test import SelfTestReport, confirm
from .spawn import bubblewrap, start
from .spec import Bounds, PythonRuntime, SandboxSpec, Tier
from .syscalls import Permissions

_TRY_WITHIN_S = 20

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


class Layer(msgspec.Struct, frozen=True):
    """One layer of a tier on this host."""

    tier: Tier
    """The weakest tier that uses it."""

    name: str
    ok: bool
    detail: str
    """What this host has, for a person."""

    remedy: str = ""
    """What to do to get the layer; empty if nothing is needed."""

    optional: bool = False
    """No tier needs it."""


def examine() -> list[Layer]:
    """Try every layer: build and test one sandbox of each tier. Takes about 0.1 s."""
    layers = [_ulimits(), _libseccomp(), _landlock(), _bubblewrap()]
    if layers[-1].ok:
        layers.append(_namespaces())
    layers.append(_cgroup())
    layers += [_complete(tier) for tier in (Tier.STRICT, Tier.FULL)]
    return layers


def available() -> Tier:
    """The strongest tier whose layers this host has; `off` without those of `strict`. Starts bwrap once."""
    missing = _missing(Tier.FULL)
    if any(layer.tier is Tier.STRICT for layer in missing):
        return Tier.OFF
    return Tier.STRICT if missing else Tier.FULL


def choose(requested: Tier | None, minimum: Tier) -> Tier:
    """The tier to run in: the `requested` one, or the strongest available.

    `minimum` counts only if no tier is requested: a requested tier is the operator's minimum for this run. Raises
    SandboxUnavailable, which names the missing layer and the remedy, if this host does not support the tier, and
    SandboxError if a limit of this process (ulimit) is too low for any tier.
    """
    host_limits.check()
    if requested is Tier.OFF:
        return requested
    best = available() if requested is None else requested
    floor = minimum if requested is None else requested
    if best.strength >= floor.strength:
        missing = [] if requested is None else _missing(requested)
        if not missing:
            return best
    else:
        missing = _missing(floor)
    reasons = "; ".join(f"{layer.name}: {layer.detail}" for layer in missing)
    remedies = "; ".join(dict.fromkeys(layer.remedy for layer in missing if layer.remedy))
    raise SandboxUnavailable(
        f"this host does not support the sandbox tier {floor.value} ({reasons}). "
        + (f"To get it: {remedies}. " if remedies else "")
        + "`douane doctor` shows every layer"
    )


def expect(minimum: Tier) -> Tier:
    """The tier that `choose(None, minimum)` most likely returns, found in 1 ms, without starting a process.

    If no sandbox of that tier can be built, `choose` finds the tier that can. Raises what `choose` raises.
    """
    host_limits.check()
    if landlock_abi() and seccomp.is_installed() and _bubblewrap().ok:
        return Tier.FULL
    return choose(None, minimum)


def _missing(tier: Tier) -> list[Layer]:
    if tier is Tier.FULL:
        _begin_trial()
    needed = [] if tier is Tier.OFF else [_libseccomp(), _landlock()]
    if tier is Tier.FULL:
        needed.append(_bubblewrap())
        if needed[-1].ok:
            needed.append(_namespaces())
    return [layer for layer in needed if not layer.ok]


def _ulimits() -> Layer:
    try:
        host_limits.check()
    except SandboxError as error:
        return Layer(Tier.OFF, "ulimit", False, "a limit is too low", str(error))
    return Layer(Tier.OFF, "ulimit", True, "no limit is too low")


def _cgroup() -> Layer:
    """Create a cgroup, set its bounds, and remove it."""
    base = delegated()
    if isinstance(base, Absent):
        detail = f"{base.reason}. Without it: {MEMORY_WITHOUT}; {TASKS_WITHOUT}"
        return Layer(Tier.STRICT, "cgroup", False, detail, REMEDY, optional=True)
    try:
        leaf = base.leaf(Bounds(), forks=False)
    except OSError as error:
        detail = f"no cgroup can be created in {base.folder} ({error.strerror}). Without it: {MEMORY_WITHOUT}"
        return Layer(Tier.STRICT, "cgroup", False, f"{detail}; {TASKS_WITHOUT}", REMEDY, optional=True)
    try:
        return Layer(Tier.STRICT, "cgroup", True, leaf.enforced(), optional=True)
    finally:
        leaf.close()


@functools.cache
def _libseccomp() -> Layer:
    try:
        size = len(seccomp.filter_program(Permissions(signals=True))) // 8
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
            "use Linux 5.13 or later, and add `landlock` to the boot parameter lsm=",
        )
    if abi < SIGNALS_STAY_INSIDE:
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
def _begin_trial() -> subprocess.Popen[bytes] | Layer:
    """Start bwrap as for a sandbox, without waiting: the seccomp filter is built meanwhile."""
    if not _bubblewrap().ok:
        return _bubblewrap()
    try:
        info, info_there = os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"the sandbox could not be tried: {host_limits.explain(error) or error}") from error
    words = command(
        bubblewrap(), [], own_user=os.geteuid() == 0, read_all=False, info_fd=info_there, temporary="memory"
    )
    words = words[: words.index("--proc")]
    try:
        return subprocess.Popen(
            [*words, "--ro-bind", "/", "/", "--proc", "/proc", "--", bubblewrap(), "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(info_there, info),  # without a reader bwrap dies of SIGPIPE and leaves its child waiting
            env={},
        )
    except OSError as error:
        if reason := host_limits.explain(error):  # a shortage says nothing about the layer, and it passes
            raise SandboxError(f"the sandbox could not be tried: {reason}") from error
        return Layer(Tier.FULL, "namespaces", False, f"bwrap could not be started: {error}")
    finally:
        os.close(info)
        os.close(info_there)


@functools.cache
def _namespaces() -> Layer:
    trial = _begin_trial()
    if isinstance(trial, Layer):
        return trial
    try:
        _, stderr = trial.communicate(timeout=_TRY_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        trial.kill()
        trial.communicate()
        return Layer(Tier.FULL, "namespaces", False, f"bwrap did not end: {error}")
    if trial.returncode == 0:
        user = "" if os.geteuid() == 0 else ", user"
        return Layer(Tier.FULL, "namespaces", True, f"pid, net, ipc, uts, mount{user}")
    reason = stderr.decode(errors="replace").strip() or f"bwrap ended with {trial.returncode}"
    return Layer(Tier.FULL, "namespaces", False, reason[:300], _remedy())


def _remedy() -> str:
    for path, bad, remedy in _SWITCHES:
        try:
            with open(path) as file:
                if file.read().strip() == bad and os.geteuid() != 0:
                    return remedy
        except OSError:
            continue  # this kernel has no such switch
    return (
        "inside a container, allow it to create namespaces and to mount a new /proc "
        "(Docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined), or use tier strict"
    )


def _complete(tier: Tier) -> Layer:
    """Build a sandbox of this tier and let it test itself."""
    if missing := _missing(tier):
        return Layer(tier, "sandbox", False, "not tried: " + ", ".join(layer.name for layer in missing))
    try:
        report = _try(SandboxSpec(tier, interpreter(), name="doctor"))
    except (SandboxError, OSError) as error:
        return Layer(tier, "sandbox", False, str(error), "use a weaker tier, and report this")
    detail = f"closed: {len(report.probes)} attempts to get out were refused"
    return Layer(tier, "sandbox", True, "; ".join((detail, *report.notes)))


def _try(sandbox: SandboxSpec) -> SelfTestReport:
    near, far = socket.socketpair()
    with near, far, open(os.devnull, "wb") as sink:
        near.settimeout(_TRY_WITHIN_S)
        process = start(
            sandbox,
            PythonRuntime("posix:close"),
            channel=far.fileno(),
            stdout=sink.fileno(),
            stderr=sink.fileno(),
        )
        far.close()
        try:
            header = near.recv(8, socket.MSG_WAITALL)
            return confirm(near.recv(int.from_bytes(header[4:8], "little"), socket.MSG_WAITALL), sandbox)
        finally:
            process.kill()
