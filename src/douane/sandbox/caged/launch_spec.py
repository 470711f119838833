"""The launcher's instructions, as they are marshalled. For type checkers alone: no process imports this module."""

from __future__ import annotations

from typing import TypedDict


class LaunchSpec(TypedDict):
    """Descriptors are numbers in the new process; -1 where there is none."""

    tier: str
    name: str
    """The plugin's name."""

    namespaces: list[str]
    cgroup: str
    """Which bounds the cgroup enforces, for a person; empty if there is none."""

    engine: int
    """The engine's pid."""

    engine_fd: int
    """A pidfd of the engine. With one, a keeper is split off."""

    leash: int
    """A socket whose other end the engine holds."""

    channel: int
    stdio: list[int]
    keep: list[int]
    """The other descriptors that stay open."""

    uid: int
    """The user to become; -1 to stay."""

    read_all: bool
    """Keep CAP_DAC_READ_SEARCH."""

    limits: list[tuple[str, int, int]]
    """(name, resource, value) of each limit."""

    forks: bool
    """Processes of its own are allowed."""

    programs: bool
    """Programs can be executed."""

    read: list[str]
    execute: list[str]
    write: list[str]
    """Paths that Landlock allows."""

    granted: list[tuple[str, int, int]]
    """Path, device and inode of what the operator grants by path: readable if the path leads there."""

    tmpfs: tuple[int, int]
    """Bytes and files of the tmpfs at /tmp; (0, 0) if there is none."""

    folders: list[str]
    """Folders in which Landlock allows to make, change and remove files."""

    readable: list[int]
    writable: list[int]
    """Descriptors of `keep` whose files may be opened again."""

    calls: int
    """A socket to send the descriptor that tells of calls of connect(2); -1 if these are refused."""

    calls_filter: bytes
    """The filter that stops them."""

    numbers: dict[str, int]
    """Numbers of system calls."""

    filter: bytes
    """The seccomp filter."""

    sys_path: list[str]
    prefix: str
    """sys.prefix; empty to leave it."""

    entry: str
    """The "module:function" to call; empty for a program."""

    argv: list[str]
    """The program to execute; empty for Python."""

    speaks: bool
    """The program inherits the channel."""
