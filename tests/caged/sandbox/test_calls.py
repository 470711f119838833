"""Forbidden system calls are refused, in every numbering of calls."""

from __future__ import annotations

import ctypes
import platform
import signal
import socket

import pytest

from douane import sandbox
from support.sandbox.process import Cell, Ended

ENOSYS, EPERM = 38, 1

FORBIDDEN = (
    "memfd_create memfd_secret io_uring_setup io_uring_enter io_uring_register userfaultfd bpf keyctl add_key "
    "request_key mount umount2 move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr pivot_root chroot "
    "unshare setns personality ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp "
    "perf_event_open name_to_handle_at open_by_handle_at kexec_load init_module finit_module delete_module "
    "quotactl reboot sethostname setdomainname settimeofday clock_settime adjtimex shmget shmat semget msgget "
    "mq_open fanotify_init inotify_init1 seccomp landlock_create_ruleset socket connect bind listen accept accept4 "
    "clone3 openat2 execve execveat fork vfork setuid setgid setgroups setresuid capset setrlimit setsid setpgid "
    "syslog acct swapon swapoff vmsplice splice tee copy_file_range truncate fallocate chown "
    "mknod creat setxattr removexattr iopl ioperm modify_ldt io_setup "
    "sched_setaffinity sched_setscheduler setpriority ioprio_set mlock mlockall sync remap_file_pages"
)


OF_FILES = (
    "ftruncate unlink rename link symlink mkdir rmdir chmod utime unlinkat renameat renameat2 linkat symlinkat mkdirat "
    "fchmod fchmodat utimes utimensat fsync fdatasync"
)
"""Calls that a plugin may make in its private /tmp."""


def numbers(names: str) -> dict[str, int]:
    """The numbers of these calls on this machine, without calls that the machine does not have."""
    library = ctypes.CDLL("libseccomp.so.2")
    by_name = {name: library.seccomp_syscall_resolve_name(name.encode()) for name in names.split()}
    return {name: number for name, number in by_name.items() if number >= 0}


def test_forbidden_calls_are_refused(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        forbidden = numbers(FORBIDDEN)
        assert len(forbidden) > 60
        outcomes = cell.returned("syscalls", forbidden)
    assert {name: errno for name, errno in outcomes.items() if errno not in (EPERM, ENOSYS)} == {}


def test_a_plugin_without_a_private_folder_makes_no_files(tier: sandbox.Tier) -> None:
    with Cell(tier, bounds=sandbox.Bounds(temporary_bytes=0)) as cell:
        outcomes = cell.returned("syscalls", numbers(OF_FILES))
    assert {name: errno for name, errno in outcomes.items() if errno != EPERM} == {}


def test_programs_allow_no_further_call(tier: sandbox.Tier) -> None:
    from pathlib import Path

    allowed = {"execve", "execveat", "fork", "vfork"}
    with Cell(tier, programs=(Path("/bin/sh"),)) as cell:
        forbidden = {name: number for name, number in numbers(FORBIDDEN).items() if name not in allowed}
        outcomes = cell.returned("syscalls", forbidden)
    assert {name: errno for name, errno in outcomes.items() if errno not in (EPERM, ENOSYS)} == {}


def test_clone_makes_only_threads(tier: sandbox.Tier) -> None:
    clone = numbers("clone")["clone"]
    with Cell(tier) as cell:
        assert cell.refused("fork") == EPERM
        for flag in (0, 17, 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
            assert cell.refused("syscall", clone, flag, 0, 0, 0, 0) in (EPERM, ENOSYS), hex(flag)
            if flag > 17:  # otherwise it is a thread
                assert cell.refused("syscall", clone, flag | 0x10D00, 0, 0, 0, 0) in (EPERM, ENOSYS), hex(flag)


def test_32_bit_and_x32_calls_kill(tier: sandbox.Tier) -> None:
    if platform.machine() != "x86_64":
        return  # aarch64 has no second set of calls in the same process
    with Cell(tier) as cell, pytest.raises(Ended) as end:
        cell.ask("int80")
    assert end.value.args[0] == -signal.SIGSYS
    with Cell(tier) as cell, pytest.raises(Ended) as end:
        cell.ask("syscall", 0x40000000 | 39)
    assert end.value.args[0] == -signal.SIGSYS


def test_prctl_cannot_weaken_the_sandbox(tier: sandbox.Tier) -> None:
    prctl = numbers("prctl")["prctl"]
    with Cell(tier) as cell:
        for option in (1, 4, 8, 24, 22, 26, 28, 35, 36, 40, 47, 52, 53, 0x59616D61):
            assert cell.refused("syscall", prctl, option, 1, 0, 0, 0) in (EPERM, ENOSYS), option
            assert cell.refused("syscall", prctl, option | 1 << 32, 1, 0, 0, 0) in (EPERM, ENOSYS), option


def test_input_cannot_be_pushed_into_a_terminal(tier: sandbox.Tier) -> None:
    ioctl = numbers("ioctl")["ioctl"]
    with Cell(tier) as cell:
        for request in (0x5412, 0x541C, 0x5410, 0x5412 | 1 << 32):  # TIOCSTI, TIOCLINUX, TIOCSPGRP
            assert cell.refused("syscall", ioctl, 0, request, 0) == ENOSYS


def test_no_socket_can_be_made(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        assert cell.returned("socket_families") == []
        assert cell.returned("socket_pairs") == [[1, 1]]  # what asyncio needs: it leads nowhere


def test_a_listening_port_cannot_be_reached(tier: sandbox.Tier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Cell(tier) as cell:
        assert cell.refused("connect", server.getsockname()[1]) in (EPERM, ENOSYS)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_granted_socket_reaches_only_its_peer(tier: sandbox.Tier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service, socket.create_server(("127.0.0.1", 0)) as stranger:
        granted = socket.create_connection(service.getsockname())
        peer, _ = service.accept()
        with granted, peer, Cell(tier, keep=(granted.fileno(),)) as cell:
            cell.order("talk", granted.fileno(), "PING")
            peer.settimeout(30)
            assert peer.recv(10) == b"PING"
            peer.sendall(b"PONG")
            assert cell.answer()["returned"] == "PONG"
            port = stranger.getsockname()[1]
            assert cell.refused("reconnect", granted.fileno(), port) == EPERM
            assert cell.refused("fastopen", granted.fileno(), port) in (EPERM, ENOSYS)


def test_a_datagram_socket_is_not_granted(tier: sandbox.Tier) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as granted,
        pytest.raises(sandbox.SandboxError, match="stream"),
    ):
        Cell(tier, keep=(granted.fileno(),))


def test_the_channel_gives_no_pidfd_of_the_engine(tier: sandbox.Tier) -> None:
    """SO_PEERPIDFD of a Unix socket is a pidfd of its peer (socket(7))."""
    ours, theirs = socket.socketpair()
    with ours, theirs, Cell(tier, keep=(theirs.fileno(),)) as cell:
        assert cell.returned("socket_option", theirs.fileno(), 1, 3) == 1  # SO_TYPE: a stream
        for option in (77, 77 | 1 << 32):
            assert cell.refused("socket_option", theirs.fileno(), 1, option) in (EPERM, ENOSYS)
