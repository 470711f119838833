"""Build the seccomp filter with libseccomp, which turns names into numbers and conditions into BPF for this processor.

Only the engine loads the library. A plugin's process gets the finished filter and hands it to the kernel.
"""

from __future__ import annotations

import ctypes
import functools
import os

from douane.errors import SandboxError

from .syscalls import Permissions, Test, rules

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_NOTIFY = 0x7FC00000
_ENOSYS = 38
_BAD_ARCH, _OPTIMIZE = 2, 8  # enum scmp_filter_attr, seccomp.h
_LESS, _EQUAL, _MASKED = 2, 4, 7  # enum scmp_compare
_UNKNOWN = -1  # __NR_SCMP_ERROR

NUMBERS = ("clone", "execve", "memfd_create", "seccomp")
"""Calls that the launcher makes by number, because not every C library has functions for them."""

_FIXED_NUMBERS = {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
"""The same on every architecture (since Linux 5.13); libseccomp before 2.5.3 does not know them."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_uint),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        library.seccomp_init.restype = ctypes.c_void_p
        library.seccomp_init.argtypes = (ctypes.c_uint32,)
        library.seccomp_release.argtypes = (ctypes.c_void_p,)
        library.seccomp_release.restype = None
        library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
        library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
        library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.seccomp_rule_add_array.argtypes = (
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_void_p,
        )
    except (OSError, AttributeError) as error:
        raise SandboxError(
            f"the library libseccomp.so.2 (version 2.5 or later) cannot be used ({error}): "
            "install the package libseccomp2 (Debian, Ubuntu) or libseccomp (others)"
        ) from error
    return library


def is_installed() -> bool:
    """Tell if libseccomp can be loaded."""
    try:
        _library()
    except SandboxError:
        return False
    return True


@functools.cache
def numbers() -> dict[str, int]:
    """The numbers of the calls in NUMBERS on this processor."""
    library = _library()
    resolved = {name: library.seccomp_syscall_resolve_name(name.encode()) for name in NUMBERS}
    resolved.update(_FIXED_NUMBERS)
    return {name: number for name, number in resolved.items() if number >= 0}


@functools.cache
def calls_filter() -> bytes:
    """The BPF program that has the kernel stop connect(2) and ask; other filters decide about all else."""
    library = _library()
    context = library.seccomp_init(_ALLOW)
    if not context:
        raise SandboxError("libseccomp could not start a filter: the host is out of memory")
    try:
        _check(library.seccomp_attr_set(context, _BAD_ARCH, _KILL_PROCESS), "to kill foreign calls")
        number = library.seccomp_syscall_resolve_name(b"connect")
        nothing = (_Comparison * 1)()
        _check(library.seccomp_rule_add_array(context, _NOTIFY, number, 0, nothing), "to stop connect")
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


@functools.cache
def filter_program(permissions: Permissions) -> bytes:
    """The BPF program, an array of struct sock_filter; see `syscalls.rules`. Takes 5 ms. Raises SandboxError."""
    library = _library()
    context = library.seccomp_init(_ERRNO | _ENOSYS)
    if not context:
        raise SandboxError("libseccomp could not start a filter: the host is out of memory")
    try:
        # i386 and x32 calls: this interpreter makes none, so a process that makes one is under attack.
        _check(library.seccomp_attr_set(context, _BAD_ARCH, _KILL_PROCESS), "to kill foreign calls")
        library.seccomp_attr_set(context, _OPTIMIZE, 2)  # a binary tree, for speed; since 2.5
        for name, errno, tests in rules(permissions):
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number == _UNKNOWN:
                continue  # unknown to this libseccomp: the default refuses it
            action = _ALLOW if errno is None else _ERRNO | errno
            comparisons = (_Comparison * max(1, len(tests)))(*(_comparison(test) for test in tests))
            _check(
                library.seccomp_rule_add_array(context, action, number, len(tests), comparisons),
                f"a rule for {name}",
            )
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _exported(library: ctypes.CDLL, context: object) -> bytes:
    with open(os.memfd_create("filter"), "r+b") as file:
        _check(library.seccomp_export_bpf(context, file.fileno()), "to export its filter")
        file.seek(0)
        return file.read()


def _comparison(test: Test) -> _Comparison:
    if test.less:
        return _Comparison(test.arg, _LESS, test.value, 0)
    if test.mask is None:
        return _Comparison(test.arg, _EQUAL, test.value, 0)
    return _Comparison(test.arg, _MASKED, test.mask, test.value)


def _check(result: int, request: str) -> None:
    if result < 0:
        raise SandboxError(f"libseccomp refused {request} ({os.strerror(-result)}): is it older than 2.5?")
