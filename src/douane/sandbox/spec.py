"""The description of a sandbox: its tier, its bounds, and what may be read and run in it."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Literal

import msgspec

from .interpreter import Interpreter

MiB = 1 << 20

TEMPORARY_BYTES = 64 * MiB
TEMPORARY_FILES = 4096
"""The bounds of a private /tmp, if nobody sets others."""

Temporary = Literal["none", "memory", "disk"]
"""A private /tmp: a tmpfs, which the kernel bounds, or a folder on the disk, which the engine measures."""


class Tier(StrEnum):
    """How many of the host's mechanisms a sandbox uses, strongest first."""

    FULL = "full"
    """Namespaces (by bubblewrap), Landlock, seccomp, limits."""

    STRICT = "strict"
    """Landlock, seccomp, limits. Works in an unprivileged container."""

    OFF = "off"
    """A separate process, without confinement. For developing a plugin, never for untrusted images."""

    @property
    def strength(self) -> int:
        """0 for off, 1 for strict, 2 for full: to compare tiers."""
        return {"off": 0, "strict": 1, "full": 2}[self.value]


class Bounds(msgspec.Struct, frozen=True):
    """What a plugin may use. Enforced by rlimits (setrlimit(2)) and measured by `SandboxProcess.measure`."""

    memory: int = 512 * MiB
    """Bytes of private writable memory of each process (RLIMIT_DATA)."""

    threads: int = 64
    """Threads of all processes together."""

    processes: int = 16
    """Processes, if programs are allowed; without programs there is one."""

    open_files: int = 64
    """Descriptors of each process: higher numbers cannot be opened (RLIMIT_NOFILE)."""

    file_bytes: int = 0
    """Length of a file that the plugin writes (RLIMIT_FSIZE), if that is more than `temporary_bytes`."""

    temporary_bytes: int = TEMPORARY_BYTES
    """Bytes of the plugin's private /tmp; 0: there is none."""

    temporary_files: int = TEMPORARY_FILES
    """Files and folders in it."""


class GrantedPath(msgspec.Struct, frozen=True):
    """A file or folder that the plugin may read at its own place."""

    path: str
    """Absolute."""

    device: int
    inode: int
    """The file that the path leads to, which must still be the same when the sandbox is closed."""

    is_private: bool
    """Not every user can read all of it."""


class SandboxSpec(msgspec.Struct, frozen=True):
    """A sandbox that `start` builds."""

    tier: Tier
    interpreter: Interpreter
    bounds: Bounds = Bounds()
    read: tuple[str | os.PathLike[str], ...] = ()
    """The plugin's own files and directories, read-only."""

    granted: tuple[GrantedPath, ...] = ()
    """What the operator grants by path, read-only."""

    programs: tuple[str | os.PathLike[str], ...] = ()
    """Programs that the plugin may run; without any, exec is refused."""

    forks: bool = False
    """The plugin may have processes of its own; with `programs` it always may."""

    messages: bool = False
    """The plugin may call sendmsg(2), which can pass descriptors: only if it holds no unix socket but the channel."""

    name: str = "plugin"
    """The plugin's name, for messages."""

    @property
    def temporary(self) -> Temporary:
        """The kind of its private /tmp."""
        if not self.bounds.temporary_bytes:
            return "none"
        return "memory" if self.tier is Tier.FULL and not self.bounds.file_bytes else "disk"


class PythonRuntime(msgspec.Struct, frozen=True):
    """Run Python: import `entry`, "module:function", in the closed sandbox and call it with the channel."""

    entry: str


class Program(msgspec.Struct, frozen=True):
    """Run a program: execute `argv` in the closed and tested sandbox. `argv[0]` is an absolute path."""

    argv: tuple[str, ...]
    speaks: bool = False
    """The program inherits the channel, with the number in its environment as DOUANE_CHANNEL, and `keep`."""
