"""What the launcher is told to do: all that can be decided before the process is there."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from douane.errors import SandboxError

from . import seccomp
from . import user as identity
from .cage import Cage, Program, PythonRuntime, Tier
from .executables import executables
from .interpreter import CAGED
from .landlock import landlock_abi

GiB = 1 << 30
_ADDRESS_SPACE = 256 * GiB
"""RLIMIT_AS: far above what threads reserve, low enough that page tables alone cannot fill a machine."""

_STACK = 8 << 20
_SIGNALS_PENDING = 64
_NO_CORE = 1
"""Bytes. A limit of 0 does not keep a dump from the program that core_pattern names, 1 does (fs/coredump.c)."""

_SHARED_USER_TASKS = 2048
"""Where the cage shares its user with others, RLIMIT_NPROC is what they have plus this: it only stops a bomb."""

_SIGNALS_STAY_INSIDE = 6  # Landlock version


@dataclass(frozen=True)
class Order:
    """The launcher's order without its descriptors, and what the engine needs to know of it."""

    spec: dict[str, Any]
    paths: tuple[Path, ...]
    """All that must be readable."""

    uid: int | None
    """The cage's own user, None if it shares that of the engine."""

    read_all: bool
    """Only root can reach some of `paths`."""

    programs: bool
    """It may fork and execute."""


def order(cage: Cage, run: PythonRuntime | Program) -> Order:
    """Decide on identity, limits, rules and filter. Raises SandboxError."""
    for path in cage.read:
        if not path.exists():
            raise SandboxError(f"{cage.name}: {path} is not there, and the plugin was to read it")
    allowed = executables(cage, run)
    uid = identity.fresh_uid() if cage.tier is not Tier.OFF else None
    if uid is not None:
        for program in allowed.execute:
            identity.check_executable(cage.name, program)
    paths = (*cage.interpreter.read, CAGED, *cage.read, *allowed.execute)
    read_all = uid is not None and not identity.is_public(paths, parents=cage.tier is Tier.STRICT)
    spec: dict[str, Any] = {
        "tier": cage.tier.value,
        "name": cage.name,
        "namespaces": _namespaces(cage.tier, uid),
        "engine": os.getpid(),
        "uid": -1 if uid is None else uid,
        "read_all": read_all,
        "limits": _limits(cage, allowed.programs, uid),
        "programs": allowed.programs,
        "read": [*map(str, paths), "/dev/urandom", "/dev/null"],
        "execute": [*map(str, allowed.execute)],
        "write": ["/dev/null"] if allowed.programs else [],
        "landlock_signals": False,
        "sys_path": list(cage.interpreter.sys_path),
        "entry": run.entry if isinstance(run, PythonRuntime) else "",
        "argv": list(run.argv) if isinstance(run, Program) else [],
        "speaks": isinstance(run, Program) and run.speaks,
    }
    if cage.tier is not Tier.OFF:
        isolated = cage.tier is Tier.FULL or landlock_abi() >= _SIGNALS_STAY_INSIDE
        spec["numbers"] = seccomp.numbers()
        spec["filter"] = seccomp.program(
            programs=allowed.programs, signals=isolated, scratch=cage.bounds.file_bytes > 0
        )
    return Order(spec, paths, uid, read_all, allowed.programs)


def environment(programs: bool) -> dict[str, str]:
    """All the environment that a plugin has."""
    # A library that starts a thread a core would use up its memory bound on a large machine.
    variables = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": str(min(4, os.cpu_count() or 1))}
    if programs:
        variables["PATH"] = "/usr/bin:/bin"
    return variables


def _namespaces(tier: Tier, uid: int | None) -> list[str]:
    if tier is not Tier.FULL:
        return []
    return ["pid", "net", "ipc", "uts", "mount", *([] if uid is not None else ["user"])]


def _limits(cage: Cage, programs: bool, uid: int | None) -> list[tuple[str, int, int]]:
    bounds = cage.bounds
    tasks = bounds.threads + (bounds.processes + 1 if programs else 0)
    if uid is None and cage.tier is Tier.STRICT:
        tasks += identity.tasks_of_user() + _SHARED_USER_TASKS
    return [
        ("data", resource.RLIMIT_DATA, bounds.memory),
        ("address_space", resource.RLIMIT_AS, _ADDRESS_SPACE + bounds.memory),
        ("stack", resource.RLIMIT_STACK, _STACK),
        ("file_size", resource.RLIMIT_FSIZE, bounds.file_bytes),
        ("open_files", resource.RLIMIT_NOFILE, bounds.open_files),
        ("tasks", resource.RLIMIT_NPROC, tasks),
        ("core", resource.RLIMIT_CORE, _NO_CORE),
        ("locked", resource.RLIMIT_MEMLOCK, 0),
        ("message_queues", resource.RLIMIT_MSGQUEUE, 0),
        ("signals_pending", resource.RLIMIT_SIGPENDING, _SIGNALS_PENDING),
        ("realtime", resource.RLIMIT_RTPRIO, 0),
    ]
