"""What a cage is: the tier, the bounds, and what may be read and run inside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .interpreter import Interpreter

MiB = 1 << 20


class Tier(StrEnum):
    """How much of the machine's means a cage uses, strongest first."""

    FULL = "full"
    """Namespaces (by bubblewrap), Landlock, seccomp, limits."""

    STRICT = "strict"
    """Landlock, seccomp, limits. Works in an unprivileged container."""

    OFF = "off"
    """A process of its own and nothing else. For developing a plugin, never for an image one does not trust."""

    @property
    def strength(self) -> int:
        """0 for off, 1 for strict, 2 for full: to compare tiers."""
        return {"off": 0, "strict": 1, "full": 2}[self.value]


@dataclass(frozen=True)
class Bounds:
    """What a plugin may use up. Enforced by rlimits (setrlimit(2)) and measured by `CagedProcess.measure`."""

    memory: int = 512 * MiB
    """Bytes of private writable memory a process (RLIMIT_DATA)."""

    threads: int = 64
    """Threads in all."""

    processes: int = 16
    """Processes in all, where programs are allowed; otherwise there is one."""

    open_files: int = 64
    """Descriptors a process: numbers from this one on cannot be opened (RLIMIT_NOFILE)."""

    file_bytes: int = 0
    """Length of a file that it writes (RLIMIT_FSIZE), in bytes; it can write none but those that it is handed."""


@dataclass(frozen=True)
class Cage:
    """A cage to be built by `start`."""

    tier: Tier
    interpreter: Interpreter
    bounds: Bounds = Bounds()
    read: tuple[Path, ...] = ()
    """The plugin's own files and directories, read-only."""

    programs: tuple[Path, ...] = ()
    """Programs it may run; empty means no fork and no exec at all."""

    name: str = "plugin"
    """For messages."""


@dataclass(frozen=True)
class PythonRuntime:
    """Run Python: `entry` is "module:function", imported after the cage is closed, called with the channel."""

    entry: str


@dataclass(frozen=True)
class Program:
    """Run a program: `argv[0]` is an absolute path, executed after the cage is closed and tested."""

    argv: tuple[str, ...]
    speaks: bool = False
    """It keeps the channel, whose number is in its environment as DOUANE_CHANNEL, and `keep`."""


@dataclass(frozen=True)
class Usage:
    """What a cage uses now."""

    memory: int
    """Bytes resident or swapped out, page tables included; the ring's pages are the engine's and not counted."""

    processes: int
    threads: int
