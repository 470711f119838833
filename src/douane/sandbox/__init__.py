"""Start a process that can reach nothing but the descriptors it was handed.

A caller describes the sandbox (`SandboxSpec`) and what runs in it (`PythonRuntime`, `Program`); `start` returns the
running `SandboxProcess`; `confirm` checks the report of the attacks that the process tried on its own sandbox before it
loaded any plugin. `choose`, `expect` and `examine` find the tiers that this host supports.

The decisions are in `launch_spec.py`, what needs a system call outside in `spawn.py`, `process.py` and `cgroup.py`, and
what the new process does to itself in the folder `caged/`, the only code of ours that the process can read.

A new layer is a function in `caged/layers.py`, called in `caged/launch.py`, with an attack on it in `caged/probes.py`
and a line in `tiers.examine`.
"""

from douane.errors import SandboxError, SandboxUnavailable

from .connect_calls import ConnectCall, receive_call
from .descriptors import check_grants, refuse_descriptors
from .host_limits import explain
from .interpreter import Interpreter, interpreter
from .private_folder import FolderUsage
from .process import SandboxProcess
from .self_test import SelfTestReport, confirm
from .spawn import start
from .spec import Bounds, GrantedPath, Program, PythonRuntime, SandboxSpec, Tier
from .tiers import Layer, available, choose, examine, expect
from .usage import Usage

__all__ = [
    "Bounds",
    "ConnectCall",
    "FolderUsage",
    "GrantedPath",
    "Interpreter",
    "Layer",
    "Program",
    "PythonRuntime",
    "SandboxError",
    "SandboxProcess",
    "SandboxSpec",
    "SandboxUnavailable",
    "SelfTestReport",
    "Tier",
    "Usage",
    "available",
    "check_grants",
    "choose",
    "confirm",
    "examine",
    "expect",
    "explain",
    "interpreter",
    "receive_call",
    "refuse_descriptors",
    "start",
]
