"""Start a process that can do nothing but what it was handed.

`start` builds the cage and runs a plugin in it, `confirm` checks what the launcher found when it tried the
cage's walls, `choose` and `examine` say what this machine can give.
"""

from douane.errors import SandboxError, SandboxUnavailable

from .cage import Bounds, Cage, Program, PythonRuntime, Tier, Usage
from .interpreter import Interpreter, interpreter
from .process import CagedProcess
from .self_test import CageReport, confirm
from .spawn import start
from .tiers import Layer, available, choose, examine

__all__ = [
    "Bounds",
    "Cage",
    "CageReport",
    "CagedProcess",
    "Interpreter",
    "Layer",
    "Program",
    "PythonRuntime",
    "SandboxError",
    "SandboxUnavailable",
    "Tier",
    "Usage",
    "available",
    "choose",
    "confirm",
    "examine",
    "interpreter",
    "start",
]
