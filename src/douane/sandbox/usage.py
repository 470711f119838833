"""Measure what a sandbox uses: from its cgroup, or from its tree of processes in /proc (proc_pid_status(5))."""

from __future__ import annotations

import os

import msgspec

_COUNTED = ("RssAnon:", "VmSwap:", "VmPTE:")
"""Shared memory is not counted: a sandbox cannot create any, so its shared memory is the ring. Nor are pages of
files, which the kernel takes back when it needs memory: a plugin may map an image that is larger than its bound."""


class Usage(msgspec.Struct, frozen=True):
    """The resources that a sandbox uses now."""

    memory: int
    """Bytes resident or swapped out, including page tables, without the ring."""

    processes: int
    threads: int


def of_leaf(folder: str, helpers: int) -> Usage | None:
    """The usage of the cgroup in `folder`, without our `helpers` processes in it; None if the kernel does not tell.

    Memory is memory.current without the `file` of memory.stat: page cache, which the kernel reclaims when it needs to,
    and shared memory, which is the ring.
    """
    try:
        memory = int(_read(f"{folder}/memory.current"))
        rows = _read(f"{folder}/memory.stat").splitlines()
        tasks = int(_read(f"{folder}/pids.current"))
        processes = len(_read(f"{folder}/cgroup.procs").split())
    except (OSError, ValueError):
        return None
    shared = sum(int(row.split()[1]) for row in rows if row.startswith("file "))
    return Usage(max(0, memory - shared), max(0, processes - helpers), max(0, tasks - helpers))


def of_tree(pid: int, skip: int) -> Usage:
    """The usage of the process `pid` and its descendants, without the outermost `skip` generations."""
    memory = processes = threads = 0
    generation, level = [pid], 0
    while generation:
        children: list[int] = []
        for parent in generation:
            children += children_of(parent)
            if level >= skip:
                process_memory, tasks = _usage_of(parent)
                memory += process_memory
                threads += tasks
                processes += tasks > 0
        generation, level = children, level + 1
    return Usage(memory, processes, threads)


def _usage_of(pid: int) -> tuple[int, int]:
    memory, tasks = _status(f"/proc/{pid}/status")
    if memory or not tasks:
        return memory, tasks
    # A first thread that has ended shows no memory, although the other threads still use it.
    try:
        names = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0, tasks
    return max((_status(f"/proc/{pid}/task/{name}/status")[0] for name in names), default=0), tasks


def children_of(pid: int) -> list[int]:
    """The children of all threads of `pid`; empty if the process has ended."""
    children: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return children
    for task in tasks:
        try:
            children += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
        except OSError:
            continue  # the thread has ended
    return children


def parent_of(pid: int) -> int:
    """The parent of `pid`; 0 if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _status(path: str) -> tuple[int, int]:
    """(bytes, threads) of a process; (0, 0) if the process has ended."""
    memory = threads = 0
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(_COUNTED):
                    memory += int(line.split()[1]) * 1024
                elif line.startswith("Threads:"):
                    threads = int(line.split()[1])
    except OSError:
        return 0, 0
    return memory, threads


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
