"""Decide how a process is confined, before it exists: user, limits, rules, system calls."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import msgspec

from douane.errors import SandboxError

from . import seccomp
from .base_files import USER, readable_files
from .descriptors import Descriptors, can_refuse_descriptors
from .executables import executables
from .interpreter import CAGED
from .landlock import landlock_abi
from .spec import Program, PythonRuntime, SandboxSpec, Tier
from .syscalls import Permissions
from .user import check_executable, fresh_uid, is_public, tasks_of_user

if TYPE_CHECKING:
    from .caged.launch_spec import LaunchSpec

GiB = 1 << 30
_ADDRESS_SPACE = 256 * GiB
"""RLIMIT_AS: far above what threads reserve, and low enough that page tables alone cannot fill a host."""

_STACK = 8 << 20
_SIGNALS_PENDING = 64
_NO_CORE = 1
"""Bytes. With a limit of 0 the program that core_pattern names still gets the dump, with 1 it does not
(fs/coredump.c)."""

_SHARED_USER_TASKS = 2048
"""RLIMIT_NPROC of a sandbox that shares its user: the user's tasks plus this number, which only stops a fork bomb."""

SIGNALS_STAY_INSIDE = 6
"""From this Landlock version on, signals and abstract sockets stay inside without a namespace."""


class Access(msgspec.Struct, frozen=True):
    """The user of a sandbox, and what that user must be able to read and execute."""

    uid: int | None
    """The sandbox's own user; None if it shares the engine's."""

    paths: tuple[str, ...]
    """Everything that must be readable."""

    read_all: bool
    """Only root can reach some of `paths`."""

    execute: tuple[str, ...]
    forks: bool
    programs: bool
    """Programs can be executed."""

    path: tuple[str, ...]
    """The folders of the programs, for PATH."""

    @property
    def own_user(self) -> bool:
        """The sandbox has a user of its own."""
        return self.uid is not None


def decide_access(sandbox: SandboxSpec, run: PythonRuntime | Program) -> Access:
    """Decide on the user and the paths. Raises SandboxError for a missing file or program."""
    for path in map(str, sandbox.read):
        if not os.path.exists(path):
            raise SandboxError(f"{sandbox.name}: {path}, a file of the plugin, does not exist")
    allowed = executables(sandbox, run)
    uid = fresh_uid() if sandbox.tier is not Tier.OFF else None
    if uid is not None:
        for program in allowed.execute:
            check_executable(sandbox.name, program)
    paths = (*sandbox.interpreter.read, CAGED, *map(str, sandbox.read), *allowed.execute, *allowed.read)
    granted = tuple(granted.path for granted in sandbox.granted)
    is_private = any(granted.is_private for granted in sandbox.granted)
    parents = sandbox.tier is Tier.STRICT
    read_all = uid is not None and (is_private or not is_public((*paths, *granted), parents=parents))
    folders = dict.fromkeys(os.path.dirname(os.path.abspath(program)) for program in map(str, sandbox.programs))
    forks = allowed.programs or sandbox.forks
    return Access(uid, paths, read_all, allowed.execute, forks, allowed.programs, tuple(folders))


def launch_spec(
    sandbox: SandboxSpec,
    run: PythonRuntime | Program,
    access: Access,
    descriptors: Descriptors,
    *,
    stdio: tuple[int, int, int],
    leash: int,
    engine_fd: int,
    cgroup: str,
    folder: str,
) -> LaunchSpec:
    """The launcher's instructions; `caged.launch_spec` explains the keys. Takes 5 ms the first time.

    Raises SandboxError if the seccomp filter cannot be built.
    """
    bounds, temporary = sandbox.bounds, sandbox.temporary
    spec: LaunchSpec = {
        "tier": sandbox.tier.value,
        "name": sandbox.name,
        "namespaces": _namespaces(sandbox.tier, access.uid),
        "cgroup": cgroup,
        "engine": os.getpid(),
        "engine_fd": engine_fd,
        "leash": leash,
        "channel": descriptors.channel,
        "stdio": list(stdio),
        "keep": list(descriptors.handed),
        "uid": -1 if access.uid is None else access.uid,
        "read_all": access.read_all,
        "limits": _limits(sandbox, access),
        "forks": access.forks,
        "programs": access.programs,
        "read": [
            *access.paths,
            *readable_files(sandbox.tier, read_all=access.read_all),
        ],
        "granted": [(granted.path, granted.device, granted.inode) for granted in sandbox.granted],
        "execute": list(access.execute),
        "write": ["/dev/null"] if access.programs else [],
        "tmpfs": (bounds.temporary_bytes, bounds.temporary_files) if temporary == "memory" else (0, 0),
        "folders": [folder] if temporary != "none" else [],
        "readable": list(descriptors.readable),
        "writable": list(descriptors.writable),
        "calls": -1 if descriptors.calls is None else descriptors.calls,
        "calls_filter": b"",
        "numbers": {},
        "filter": b"",
        "sys_path": list(sandbox.interpreter.sys_path),
        "prefix": sandbox.interpreter.prefix,
        "entry": run.entry if isinstance(run, PythonRuntime) else "",
        "argv": list(run.argv) if isinstance(run, Program) else [],
        "speaks": isinstance(run, Program) and run.speaks,
    }
    if sandbox.tier is not Tier.OFF:
        isolated = sandbox.tier is Tier.FULL or landlock_abi() >= SIGNALS_STAY_INSIDE
        spec["numbers"] = seccomp.numbers()
        if descriptors.calls is not None:
            spec["calls_filter"] = seccomp.calls_filter()
        spec["filter"] = seccomp.filter_program(
            Permissions(
                signals=isolated,
                forks=access.forks,
                programs=access.programs,
                files=bounds.file_bytes > 0 or temporary != "none",
                temporary=temporary != "none",
                connects=descriptors.calls is not None,
                messages=sandbox.messages and (access.programs or can_refuse_descriptors()),
            )
        )
    return spec


def environment(access: Access, folder: str) -> dict[str, str]:
    """The complete environment of a plugin. `folder` is its private /tmp; empty if it has none."""
    # A library that starts a thread for each core would use up its memory bound on a large host.
    variables = {"LANG": "C.UTF-8", "TZ": "UTC", "OMP_NUM_THREADS": str(min(4, os.cpu_count() or 1))}
    variables |= {"USER": USER, "LOGNAME": USER}
    if access.programs:
        variables["PATH"] = ":".join(dict.fromkeys((*access.path, "/usr/bin", "/bin")))
    if folder:
        variables |= {"TMPDIR": folder, "HOME": folder}
    return variables


def _namespaces(tier: Tier, uid: int | None) -> list[str]:
    if tier is not Tier.FULL:
        return []
    return ["pid", "net", "ipc", "uts", "mount", *([] if uid is not None else ["user"])]


def _limits(sandbox: SandboxSpec, access: Access) -> list[tuple[str, int, int]]:
    bounds = sandbox.bounds
    tasks = bounds.threads + (bounds.processes + 1 if access.forks else 0)
    if access.uid is None and sandbox.tier is Tier.STRICT:
        tasks += tasks_of_user() + _SHARED_USER_TASKS
    return [
        ("data", resource.RLIMIT_DATA, bounds.memory),
        ("address_space", resource.RLIMIT_AS, _ADDRESS_SPACE + bounds.memory),
        ("stack", resource.RLIMIT_STACK, _STACK),
        ("file_size", resource.RLIMIT_FSIZE, max(bounds.file_bytes, bounds.temporary_bytes)),
        ("open_files", resource.RLIMIT_NOFILE, bounds.open_files),
        ("tasks", resource.RLIMIT_NPROC, tasks),
        ("core", resource.RLIMIT_CORE, _NO_CORE),
        ("locked", resource.RLIMIT_MEMLOCK, 0),
        ("message_queues", resource.RLIMIT_MSGQUEUE, 0),
        ("signals_pending", resource.RLIMIT_SIGPENDING, _SIGNALS_PENDING),
        ("realtime", resource.RLIMIT_RTPRIO, 0),
    ]
