"""The layers that a process puts on itself: user, limits, Landlock, seccomp."""

from __future__ import annotations

import os

from .libc import Memory, call, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP = 1, 4, 8, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 38, 47
_PR_CAP_AMBIENT_RAISE, _PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
_PR_SET_SECUREBITS, _NO_SETUID_FIXUP = 28, 4
_CAP_DAC_READ_SEARCH = 2
_CAP_VERSION_3 = 0x20080522  # linux/capability.h
_SIGKILL = 9

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 2, 4, 8, 32
_RLIMIT_NOFILE, _F_DUPFD, _F_DUPFD_CLOEXEC = 7, 0, 1030
_NEW_LISTENER = 1 << 3  # SECCOMP_FILTER_FLAG_NEW_LISTENER, seccomp(2)
_SOL_SOCKET, _SCM_RIGHTS = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_CHANGE = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12
"""REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG, MAKE_SYM; with _REFER, from ABI 2, also from folder to folder."""

_REFER = 1 << 13
_TRUNCATE = 1 << 14
_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
"""(ABI, number of file system rights it knows): linux/landlock.h, LANDLOCK_ACCESS_FS_*."""


def become(uid: int, read_all: bool) -> dict[str, Any]:
    """Become the user `uid` (-1: stay) without any capability, and without a way to get one.

    With `read_all` CAP_DAC_READ_SEARCH stays, so that another user can read an interpreter or a granted file that only
    root can reach. Landlock, which ignores capabilities, still decides which files can be read.
    """
    keep = 1 << _CAP_DAC_READ_SEARCH if read_all else 0
    if uid >= 0:
        call("prctl", _PR_SET_KEEPCAPS, 1 if keep else 0, 0, 0, 0)
        if keep:
            try:  # noqa: SIM105  # contextlib would be one more import
                call("prctl", _PR_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0)
            except OSError:
                pass  # without the right, access(2) does not heed the capability; open(2) does
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        for capability in range(64):
            if keep >> capability & 1:
                continue  # the inheritable set must be a subset of this one (capset(2))
            try:
                call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
            except OSError:
                break  # after the kernel's last capability, or without the right: no_new_privs disables the set anyway
        os.setresuid(uid, uid, uid)
    call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = packed((_CAP_VERSION_3, 4), (0, 4))
    call("capset", header, packed((keep, 4), (keep, 4), (keep, 4), (0, 4), (0, 4), (0, 4)))
    if keep:
        call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)
    identity: dict[str, Any] = {"uid": os.getuid(), "own_user": uid >= 0, "capabilities": []}
    if keep:
        identity["capabilities"] = ["CAP_DAC_READ_SEARCH"]
        identity["note"] = "it reads files that only root can read"
    return identity


def bound_tmpfs(size: int, files: int) -> None:
    """Bound the tmpfs at /tmp, which bwrap mounts without a bound on its files. Needs CAP_SYS_ADMIN."""
    flags = _MS_REMOUNT | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    options = f"size={size},nr_inodes={files}".encode()
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", flags, options)
    os.chmod("/tmp", 0o1777)  # noqa: S103, S108  # private, and as programs expect it


def die_with(parent: int) -> None:
    """Be killed when the thread that started this process ends. `parent` is the pid of its process; 0 skips the check.

    Call it after the change of user, which clears the setting (PR_SET_PDEATHSIG(2const)).
    """
    call("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(70)


def harden(*, readable: bool) -> None:
    """Get no privileges by exec, and let no other process of this user look inside, unless the engine, which is one,
    must read this one's memory (`readable`). Other sandboxes cannot even then: Landlock keeps them from tracing."""
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if not readable:
        call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def limit(limits: list[tuple[str, int, int]]) -> dict[str, int]:
    """Set each (name, resource, value) as soft and hard limit, or a lower hard limit that exists (setrlimit(2))."""
    effective = {}
    for name, resource, requested in limits:
        value = min(requested, _hard_limit(resource))
        call("setrlimit", resource, packed((value, 8), (value, 8)))
        effective[name] = value
    return effective


def _hard_limit(resource: int) -> int:
    room = Memory(bytes(16))
    call("getrlimit", resource, room.address)
    return int.from_bytes(room.content()[8:], "little")


_LOG_SAME_EXEC_OFF = 1
"""Since Linux 6.15. After execve(2), nothing is logged anyway (landlock_restrict_self(2))."""


def landlock_abi(numbers: dict[str, int]) -> int:
    """The Landlock version of this kernel; 0 without Landlock."""
    try:
        return call("syscall", numbers["landlock_create_ruleset"], 0, 0, 1)
    except OSError:
        return 0


_ABOUT_ITSELF = ("cgroup", "fd", "maps", "stat", "statm", "status")
"""What a process may read about itself in /proc/self."""

_PINS_BELOW = 1024


def pin_own_files(inherited: bool) -> list[int]:
    """Descriptors (O_PATH) of the files in /proc/self that the plugin may read, for Landlock's rules.

    They stay open: a rule belongs to an inode, and procfs makes another inode for a file that nobody holds. They get
    high numbers, which no plugin expects to use. `inherited`: a program that this process becomes has them, too.
    """
    room = Memory(bytes(16))
    call("getrlimit", _RLIMIT_NOFILE, room.address)
    lowest = min(int.from_bytes(room.content()[:8], "little"), _PINS_BELOW) - len(_ABOUT_ITSELF)
    pins = []
    for name in _ABOUT_ITSELF:
        fd = os.open(f"/proc/self/{name}", os.O_PATH | os.O_CLOEXEC)
        try:
            pins.append(call("fcntl", fd, _F_DUPFD if inherited else _F_DUPFD_CLOEXEC, lowest))
        finally:
            os.close(fd)
    return pins


_BOUNDS = {
    "": ("cpu.max", "memory.high", "memory.max"),
    "cpu": ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"),
    "memory": ("memory.limit_in_bytes", "memory.soft_limit_in_bytes"),
}
"""Files of a cgroup with the bounds of its processes, by controller; "" is cgroup v2."""


def own_bounds() -> list[str]:
    """The files with the bounds of this process's cgroups, and of the root: libraries choose their number of threads
    and their memory by them, and some fail if a file is refused that exists."""
    with open("/proc/self/cgroup") as file:
        memberships = [line.rstrip("\n").split(":", 2) for line in file]
    files = []
    for _, controllers, path in memberships:
        for controller in controllers.split(","):
            for name in _BOUNDS.get(controller, ()):
                files += [f"/sys/fs/cgroup/{controller}{place}/{name}" for place in {path.rstrip("/"), ""}]
    return files


def landlock(
    numbers: dict[str, int],
    abi: int,
    read: Iterable[str | int],
    execute: Iterable[str],
    write: Iterable[str | int],
    folders: Iterable[str],
) -> dict[str, Any]:
    """Deny the file system except `read`, `write` (paths or descriptors), `execute`, and `folders`, in which files may
    be made and removed; TCP; and signals and abstract sockets to the outside, as far as the kernel's `abi` supports it
    (landlock(7))."""
    rights_mask = 0
    for version, count in _FILE_RIGHTS:
        if abi >= version:
            rights_mask = (1 << count) - 1
    net = 3 if abi >= 4 else 0
    scoped = 3 if abi >= 6 else 0
    attributes = packed((rights_mask, 8), (net, 8), (scoped, 8))[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    truncate = _TRUNCATE if abi >= 3 else 0
    ruleset = call("syscall", numbers["landlock_create_ruleset"], attributes, len(attributes), 0)
    try:
        for rights, paths in (
            (_READ_FILE | _READ_DIR, read),
            (_READ_FILE | _READ_DIR | _EXECUTE, execute),
            (_READ_FILE | _WRITE_FILE | truncate, write),
            (_READ_FILE | _READ_DIR | _WRITE_FILE | truncate | _CHANGE | (_REFER if abi >= 2 else 0), folders),
        ):
            for path in paths:
                _allow(numbers, ruleset, path, rights)
        # Otherwise each refusal is a line in the host's audit log, which a plugin could flood.
        call("syscall", numbers["landlock_restrict_self"], ruleset, _LOG_SAME_EXEC_OFF if abi >= 7 else 0)
    finally:
        os.close(ruleset)
    return {"abi": abi, "tcp": bool(net), "signals": bool(scoped), "abstract_sockets": bool(scoped)}


def _allow(numbers: dict[str, int], ruleset: int, path: str | int, rights: int) -> None:
    try:
        fd = path if isinstance(path, int) else os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if os.fstat(fd).st_mode & 0o170000 != 0o040000:
            rights &= ~_READ_DIR
        call("syscall", numbers["landlock_add_rule"], ruleset, 1, packed((rights, 8), (fd, 4)), 0)
    except OSError as error:
        # A memfd has no path and cannot have a rule: its mode and its seals protect it.
        if not (isinstance(path, int) and error.errno == 77):
            raise
    finally:
        if not isinstance(path, int):
            os.close(fd)


def seccomp(numbers: dict[str, int], program: bytes) -> int:
    """Install the BPF `program` for all threads; return its number of instructions."""
    memory = Memory(program)
    fprog = packed((len(program) // 8, 8), (memory.address, 8))
    call("syscall", numbers["seccomp"], 1, 1, fprog)  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC
    return len(program) // 8


def stop_calls(numbers: dict[str, int], program: bytes, channel: int) -> None:
    """Have the kernel stop the calls that the BPF `program` names, and send the descriptor that tells of them over the
    socket `channel`, which is closed. A call fails when nobody holds that descriptor any more (seccomp_unotify(2))."""
    memory = Memory(program)
    fprog = packed((len(program) // 8, 8), (memory.address, 8))
    listener = call("syscall", numbers["seccomp"], 1, _NEW_LISTENER, fprog)
    byte = Memory(b"\0")
    vector = Memory(packed((byte.address, 8), (1, 8)))
    control = Memory(packed((20, 8), (_SOL_SOCKET, 4), (_SCM_RIGHTS, 4), (listener, 4), (0, 4)))
    header = packed((0, 8), (0, 8), (vector.address, 8), (1, 8), (control.address, 8), (24, 8), (0, 8))
    call("sendmsg", channel, header, 0)
    os.close(listener)
    os.close(channel)
