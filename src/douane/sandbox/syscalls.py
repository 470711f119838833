"""The system calls of a sandboxed process: allowed, allowed on a condition, or refused.

A call that is not named here fails with ENOSYS, which the C library takes for an older kernel and works around. A call
in REFUSED fails with EPERM. Neither reaches the kernel's code for the call. Conditions compare numbers only: seccomp
cannot follow a pointer (seccomp(2)).
"""

from __future__ import annotations

import msgspec

EACCES, EPERM, ENOLCK, EOPNOTSUPP = 13, 1, 37, 95


class Test(msgspec.Struct, frozen=True):
    """A condition on the argument number `arg`: its bits in `mask` equal `value`; a mask of None means all bits."""

    arg: int
    value: int
    mask: int | None = None
    less: bool = False
    """Compare "less than" instead of "equal"."""


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


ALLOWED = _names(
    # memory and threads
    "brk munmap mprotect mremap msync membarrier futex set_robust_list rseq set_tid_address gettid sched_yield "
    "sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu "
    "sched_rr_get_interval arch_prctl restart_syscall exit exit_group "
    # descriptors
    "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek close close_range dup dup2 dup3 "
    "pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd "
    "eventfd2 timerfd_create timerfd_settime timerfd_gettime sendfile fadvise64 readahead "
    # files, which Landlock and the mount namespace restrict
    "access faccessat faccessat2 stat lstat fstat newfstatat statx statfs fstatfs readlink readlinkat getdents "
    "getdents64 getcwd chdir fchdir umask "
    # granted sockets
    "recvfrom recvmsg recvmmsg shutdown getsockname getpeername "
    # time
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getitimer setitimer alarm "
    "timer_create timer_settime timer_gettime timer_getoverrun timer_delete pause "
    # its own signals
    "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack signalfd4 "
    # identity and host
    "getpid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getrlimit uname sysinfo "
    "getrandom capget wait4 waitid"
)

SIGNALS = _names("kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_open")
"""Only if a pid namespace or Landlock's signal scope keeps them inside the sandbox."""

FORKS = _names("fork vfork")
"""Only if the plugin may have processes of its own."""

PROGRAMS = _names("execve execveat")
"""Only if programs are allowed."""

SCRATCH = _names("ftruncate fsync fdatasync")
"""Only if the plugin has a file to write; none of its other writable descriptors has a length."""

_NAMES = _names("mkdir mkdirat rmdir symlink symlinkat rename renameat renameat2 link linkat unlink unlinkat")
_MODES = _names("chmod fchmod fchmodat fchmodat2 utime utimes utimensat futimesat")
"""For files in a private /tmp. Landlock and the mounts decide which file a path means, except for _MODES, which
Landlock does not see: these succeed without changing anything, as copying a file with its mode and times must not
fail."""

_ATTRIBUTES = _names("getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr")
"""Landlock does not see these either. They fail as on a file system without extended attributes."""

_FALLOC_PUNCH = 0x01 | 0x02
"""KEEP_SIZE and PUNCH_HOLE free space. Every other mode allocates space, and with KEEP_SIZE even beyond the end of the
file, where RLIMIT_FSIZE does not count it (fallocate(2))."""

REFUSED = _names(
    # sockets other than the granted ones; connect could also redirect a granted one (AF_UNSPEC, connect(2))
    "socket connect bind listen accept accept4 "
    # other processes
    "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_getfd kcmp get_robust_list "
    "move_pages migrate_pages setsid setpgid setpriority ioprio_set sched_setaffinity sched_setscheduler "
    "sched_setparam sched_setattr "
    # memory that no limit counts, or that other processes see
    "memfd_create memfd_secret userfaultfd shmget shmat shmctl semget semop semctl semtimedop msgget msgsnd msgrcv "
    "msgctl mq_open mq_unlink mlock mlock2 mlockall remap_file_pages "
    # large interfaces of the kernel
    "io_uring_setup io_uring_enter io_uring_register io_setup io_submit bpf perf_event_open keyctl add_key "
    "request_key seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self fanotify_init "
    "fanotify_mark inotify_init inotify_init1 inotify_add_watch lookup_dcookie modify_ldt personality quotactl "
    "quotactl_fd nfsservctl uselib vmsplice splice tee "
    # namespaces, mounts, the host
    "unshare setns mount umount umount2 mount_setattr move_mount open_tree fsopen fsmount fsconfig fspick "
    "pivot_root chroot reboot kexec_load kexec_file_load init_module finit_module delete_module swapon swapoff "
    "sethostname setdomainname settimeofday clock_settime adjtimex clock_adjtime stime syslog acct vhangup iopl "
    "ioperm name_to_handle_at open_by_handle_at "
    # identity and limits
    "setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset setrlimit "
    # changes of the file system, which Landlock covers only in part (landlock(7))
    "creat mkdir mkdirat mknod mknodat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink "
    "symlinkat truncate ftruncate fallocate chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime "
    "utimes utimensat futimesat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr sync syncfs "
    "copy_file_range"
)

_CLONE_THREAD = 0x00010000
_CLONE_STRANGE = 0x7E020000 | 0x00008000 | 0x00002000 | 0x00800000
"""Namespaces (NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET), PARENT, PTRACE, UNTRACED: clone(2)."""

_WRITING = (0o1, 0o2, 0o3, 0o100, 0o1000, 0o20000000)
"""O_WRONLY, O_RDWR, both, O_CREAT, O_TRUNC, __O_TMPFILE; the same on x86_64 and aarch64 (asm/fcntl.h)."""

_O_RDONLY, _O_WRONLY, _O_RDWR, _O_BOTH, _O_TRUNC = 0o0, 0o1, 0o2, 0o3, 0o1000

_MAP_UNCOUNTED = (0x21, 0x100, 0x40000)
"""MAP_SHARED with MAP_ANONYMOUS, MAP_GROWSDOWN, MAP_HUGETLB: memory that RLIMIT_DATA does not count."""

_FCNTL = (0, 1, 2, 3, 4, 1030, 1032, 1034)
"""F_DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC, GETPIPE_SZ, GET_SEALS: no seals, owners, signals, leases."""

_FCNTL_LOCKS = (5, 6, 7, 36, 37, 38)
"""Record locks, which qemu-img takes on the image."""

_IOCTL = (0x541B, 0x5421, 0x5450, 0x5451, 0x5401, 0x5413)
"""FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS, TIOCGWINSZ; never TIOCSTI."""

_PRCTL = (2, 3, 15, 16, 21, 23, 27, 29, 30, 38, 39, 42, 0x53564D41)
"""Read its own attributes, set a name, timer slack, SET_NO_NEW_PRIVS, SET_VMA names; never PDEATHSIG, DUMPABLE, MM,
PTRACER or capabilities (prctl(2))."""

_MADVISE = (0, 1, 2, 3, 4, 8, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25)
"""Hints, and freeing its own memory; never REMOVE, HWPOISON, SOFT_OFFLINE, MERGEABLE (madvise(2))."""

_RLIMIT_STACK = 3

_SOCKET_OPTIONS = ((1, (7, 8, 9, 18, 19, 20, 21, 66, 67)), (6, (1, 3, 4, 5, 6, 12, 18)))
"""SOL_SOCKET: buffers, keep-alive, low-water marks, time-outs; IPPROTO_TCP: nodelay, cork, keep-alive,
quick ack, user time-out."""

_GET_OPTION_LEVELS = (0, 6, 41)
_SO_PEERPIDFD = 77
"""This option, a handle on the peer process, and those after it may not be read."""

_MSG_STRANGE = 0x20000000 | 0x1
"""MSG_FASTOPEN connects; MSG_OOB is not needed."""

_SOCK_STREAM_MASK = 0xFFFFFFFF & ~(0o4000 | 0o2000000)

Rule = tuple[str, int | None, tuple[Test, ...]]
"""The call's name, its errno (None: allowed), and conditions that must all hold."""


class Permissions(msgspec.Struct, frozen=True):
    """What the filter allows beyond the calls that every plugin may make."""

    signals: bool = False
    """Another layer keeps signals inside."""

    forks: bool = False
    programs: bool = False
    files: bool = False
    """The plugin has scratch files, or a private /tmp."""

    temporary: bool = False
    """It has a private /tmp."""

    connects: bool = False
    """Another filter stops each connect(2), and the engine answers it (`connect_calls`)."""

    messages: bool = False
    """sendmsg(2), which can pass descriptors."""


def rules(permissions: Permissions) -> list[Rule]:
    """The complete filter."""
    optional = (
        (permissions.forks, FORKS),
        (permissions.programs, PROGRAMS),
        (permissions.signals, SIGNALS),
        (permissions.files, SCRATCH),
        (permissions.temporary, _NAMES),
    )
    allowed = ALLOWED.union(*(names for is_allowed, names in optional if is_allowed))
    refused = REFUSED.union(*(names for _, names in optional)) - allowed
    table: list[Rule] = [(name, None, ()) for name in sorted(allowed)]
    if permissions.files:
        refused -= {"fallocate"}
        table.append(("fallocate", None, (Test(1, _FALLOC_PUNCH),)))
    if permissions.temporary:
        refused -= _MODES
        table += [(name, 0, ()) for name in sorted(_MODES)]
    if permissions.connects:
        refused -= {"socket", "connect"}
        table += _connecting()
    table += [(name, EPERM, ()) for name in sorted(refused)]
    table += [(name, EOPNOTSUPP, ()) for name in sorted(_ATTRIBUTES)]
    # A lock on a granted file would keep out the service that it belongs to. Programs go on without (flock(2)).
    table.append(("flock", ENOLCK, ()))
    table += _cloning(permissions.forks)
    writes = permissions.programs or permissions.temporary
    for name, flags in (("open", 1), ("openat", 2)):
        if writes:
            table += _opening(name, flags)
            continue
        table.append((name, None, (Test(flags, 0, 0o3 | 0o100 | 0o1000 | 0o20000000),)))
        table += [(name, EACCES, (Test(flags, bits, bits),)) for bits in _WRITING]
    table += _memory()
    table += [("fcntl", None, (Test(1, command),)) for command in _FCNTL]
    if writes:
        table += [("fcntl", None, (Test(1, command),)) for command in _FCNTL_LOCKS]
    table += [("ioctl", None, (Test(1, request),)) for request in _IOCTL]
    table += [("prctl", None, (Test(0, option),)) for option in _PRCTL]
    table += [("prlimit64", None, (Test(0, 0), Test(2, 0)))]
    # Its own stack limit, which the hard limit bounds: glibc takes it for the size of each thread's stack.
    table += [("prlimit64", None, (Test(0, 0), Test(1, _RLIMIT_STACK)))]
    table += [(name, None, (Test(0, 0),)) for name in ("getpgid", "getsid", "getpriority", "getrusage")]
    table += [("getrusage", None, (Test(0, who),)) for who in (1, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)]
    return table + _sockets(permissions.messages)


def _opening(name: str, flags: int) -> list[Rule]:
    """Landlock and read-only mounts decide what can be opened for writing. But before Linux 6.2 (ABI 3) Landlock does
    not see that a file which is not opened for writing is truncated."""
    mask = _O_TRUNC | _O_BOTH
    return [
        (name, None, (Test(flags, 0, _O_TRUNC),)),
        *((name, None, (Test(flags, _O_TRUNC | mode, mask),)) for mode in (_O_WRONLY, _O_RDWR)),
        *((name, EACCES, (Test(flags, _O_TRUNC | mode, mask),)) for mode in (_O_RDONLY, _O_BOTH)),
    ]


def _cloning(forks: bool) -> list[Rule]:
    strange = [1 << bit for bit in range(32) if _CLONE_STRANGE >> bit & 1]
    table: list[Rule] = [("clone", EPERM, (Test(0, bit, bit),)) for bit in strange]
    if forks:
        return [*table, ("clone", None, (Test(0, 0, _CLONE_STRANGE),))]
    return [
        *table,
        ("clone", None, (Test(0, _CLONE_THREAD, _CLONE_STRANGE | _CLONE_THREAD),)),
        ("clone", EPERM, (Test(0, 0, _CLONE_THREAD),)),
    ]


def _memory() -> list[Rule]:
    return [
        # Neither kind of sharing with MAP_ANONYMOUS (0x20): MAP_SHARED and MAP_SHARED_VALIDATE have bit 1 set.
        ("mmap", None, (Test(3, 0x00, 0x20 | 0x100 | 0x40000),)),
        ("mmap", None, (Test(3, 0x20, 0x21 | 0x100 | 0x40000),)),
        *(("mmap", EPERM, (Test(3, bits, bits),)) for bits in _MAP_UNCOUNTED),
        *(("madvise", None, (Test(2, advice),)) for advice in _MADVISE),
    ]


def _connecting() -> list[Rule]:
    """A Unix stream socket, which leads nowhere before it is connected. A datagram socket could send at once."""
    return [
        ("connect", None, ()),
        ("socket", None, (Test(0, 1), Test(1, 1, _SOCK_STREAM_MASK), Test(2, 0))),
        ("socket", EPERM, (Test(0, 0),)),
        *(("socket", EPERM, (Test(0, 1 << bit, 1 << bit),)) for bit in range(1, 16)),
    ]


def _sockets(messages: bool) -> list[Rule]:
    table: list[Rule] = [
        # asyncio needs a pair. A stream cannot be sent elsewhere afterwards, a datagram socket could.
        ("socketpair", None, (Test(0, 1), Test(1, 1, _SOCK_STREAM_MASK))),
        ("sendto", None, (Test(3, 0, _MSG_STRANGE), Test(4, 0))),
        ("getsockopt", None, (Test(1, 1), Test(2, _SO_PEERPIDFD, less=True))),
        *(("getsockopt", None, (Test(1, level),)) for level in _GET_OPTION_LEVELS),
    ]
    if messages:
        table += [
            ("sendmsg", None, (Test(2, 0, _MSG_STRANGE),)),
            ("sendmmsg", None, (Test(3, 0, _MSG_STRANGE),)),
        ]
    else:  # they can carry descriptors, and the filter cannot see whether they do
        table += [(name, EPERM, ()) for name in ("sendmsg", "sendmmsg")]
    for level, options in _SOCKET_OPTIONS:
        table += [("setsockopt", None, (Test(1, level), Test(2, option))) for option in options]
    return table
