"""What a cage uses: from its cgroup, or by its tree of processes from /proc (proc_pid_status(5))."""

from __future__ import annotations

from pathlib import Path

from .cage import Usage

_COUNTED = ("RssAnon:", "RssFile:", "VmSwap:", "VmPTE:")
"""Shared memory is left out: a cage cannot make any, so what it shows is the ring, which is the engine's."""


def of_leaf(folder: Path, helpers: int) -> Usage | None:
    """What the cgroup `folder` uses, without the `helpers` processes of ours in it; None if it cannot tell.

    Memory is memory.current without the `file` of memory.stat: page cache, which the kernel takes back when it needs
    to, and shared memory, which is the ring.
    """
    try:
        memory = int((folder / "memory.current").read_text())
        rows = (folder / "memory.stat").read_text().splitlines()
        tasks = int((folder / "pids.current").read_text())
        processes = len((folder / "cgroup.procs").read_text().split())
    except (OSError, ValueError):
        return None
    shared = sum(int(row.split()[1]) for row in rows if row.startswith("file "))
    return Usage(max(0, memory - shared), max(0, processes - helpers), max(0, tasks - helpers))


def of_tree(pid: int, skip: int) -> Usage:
    """Sum over the descendants of `pid` and itself, without the outermost `skip` generations."""
    memory = processes = threads = 0
    generation, level = [pid], 0
    while generation:
        following: list[int] = []
        for each in generation:
            following += children_of(each)
            if level >= skip:
                used, tasks = _used(each)
                memory += used
                threads += tasks
                processes += tasks > 0
        generation, level = following, level + 1
    return Usage(memory, processes, threads)


def _used(pid: int) -> tuple[int, int]:
    used, tasks = _status(f"/proc/{pid}/status")
    if used or not tasks:
        return used, tasks
    # The first thread has ended and shows no memory any more; the others share it and do.
    import os

    try:
        names = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0, tasks
    return max((_status(f"/proc/{pid}/task/{name}/status")[0] for name in names), default=0), tasks


def children_of(pid: int) -> list[int]:
    """The children of all threads of `pid`; empty if it has ended."""
    import os

    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
        except OSError:
            continue  # that thread has ended
    return found


def parent_of(pid: int) -> int:
    """The parent of `pid`, 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _status(path: str) -> tuple[int, int]:
    """(bytes, threads) of one process; (0, 0) if it has ended."""
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
