"""Build a cage and start what is to run in it."""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from douane.errors import SandboxError, SandboxUnavailable

from . import host_limits as ulimits
from .cage import Cage, Program, PythonRuntime, Tier
from .cgroup import Leaf
from .cgroup_delegation import Absent, delegated
from .descriptors import check_grant, check_scratch, protect
from .interpreter import CAGED
from .launch_spec import environment, order
from .mounts import command
from .process import CagedProcess, Family

_LAUNCHER = "import sys; sys.path.insert(0, sys.argv[1]); import caged.launch; caged.launch.main()"
_LISTENS_WITHIN_S = 20


def start(
    cage: Cage,
    run: PythonRuntime | Program,
    *,
    channel: int,
    keep: Sequence[int] = (),
    readable: Sequence[int] = (),
    writable: Sequence[int] = (),
    stdin: int | None = None,
    stdout: int,
    stderr: int,
) -> CagedProcess:
    """Start `run` in `cage`. Raises SandboxError if the cage cannot be built.

    channel: the child's end of a connected Unix stream socket; it has the same number there, and is closed
    when a Program is executed, unless that one speaks. keep: further descriptors, at their numbers; sockets
    must be connected streams, because a datagram socket can send to anybody. readable: those of `keep` whose
    file may be opened again through /proc/self/fd/N, for reading only. writable: files without a name that
    may be opened again for writing, too, up to `Bounds.file_bytes`. stdin None is empty. Nothing else is
    inherited, the environment holds a fixed minimum, the working directory is /.

    Call it from a thread that outlives the cage: the kernel kills the process when the thread that started
    it ends (PR_SET_PDEATHSIG(2const)).
    """
    try:
        return _start(cage, run, channel, keep, readable, writable, stdin, stdout, stderr)
    except OSError as error:
        reason = ulimits.explain(error) or str(error)
        raise SandboxError(f"{cage.name}: the cage could not be started: {reason}") from error


def _start(
    cage: Cage,
    run: PythonRuntime | Program,
    channel: int,
    keep: Sequence[int],
    readable: Sequence[int],
    writable: Sequence[int],
    stdin: int | None,
    stdout: int,
    stderr: int,
) -> CagedProcess:
    for fd in keep:
        check_grant(fd)
    for fd in readable:
        protect(fd)
    for fd in writable:
        check_scratch(fd)
    lowest = os.dup(channel)
    os.close(lowest)
    ulimits.check_descriptors(cage.name, lowest)
    ordered = order(cage, run)
    words: list[str] = []
    stdio = [0, 1, 2]
    family = Family()
    leash_there = engine_there = -1
    pass_fds = {channel, *keep, *readable, *writable}
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        if cage.tier is Tier.FULL or ordered.programs:
            # A pidfd is good in another pid namespace, too, and never means a later process of the same number.
            engine_there = os.pidfd_open(os.getpid())
            theirs.callback(os.close, engine_there)
            pass_fds.add(engine_there)
        if cage.tier is Tier.FULL:
            bwrap = bubblewrap()
            info, info_there = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, info_there)
            family = Family(info=info, init=True)
            # With the reading end, too: bwrap that cannot write there, because the engine has just died, ends
            # and leaves its child waiting for it for ever (bubblewrap 0.8; 10 of 120 engines killed at random).
            pass_fds.update((info, info_there))
            words = command(
                bwrap,
                map(str, ordered.paths),
                own_user=ordered.uid is not None,
                read_all=ordered.read_all,
                info_fd=info_there,
            )
            words.append("--")
            # bwrap keeps its own standard descriptors open: a plugin that closes its input would not be noticed.
            stdio = [0 if stdin is None else stdin, stdout, 2]
            pass_fds.update(fd for fd in stdio if fd > 2)
        elif ordered.programs:
            near, far = socket.socketpair()
            leash_there = far.detach()
            theirs.callback(os.close, leash_there)
            family = Family(leash=near.detach())
            pass_fds.add(leash_there)
        undo = ours.enter_context(contextlib.ExitStack())  # what becomes the process's, once there is one
        undo.callback(family.close)
        spec = {
            **ordered.spec,
            "channel": channel,
            "stdio": stdio,
            "keep": sorted({*keep, *readable, *writable}),
            "readable": list(readable),
            "writable": list(writable),
            "leash": leash_there,
            "engine_fd": engine_there,
            "cgroup": "",
        }
        # Not in its arguments, where the plugin would find them (sys.orig_argv), and everybody on the machine. Not in
        # a pipe, which holds 4 KiB where the user has used up what is set aside for pipes (pipe(7)).
        teller, listener = socket.socketpair()
        ours.enter_context(teller)
        theirs.enter_context(listener)
        pass_fds.add(listener.fileno())
        leaf = _leaf(cage, ordered.programs)
        if leaf is not None:
            undo.callback(leaf.close)
        words += [str(cage.interpreter.executable), "-I", "-S", "-B", "-c", _LAUNCHER, str(CAGED.parent)]
        try:
            process = subprocess.Popen(
                [*words, str(listener.fileno())],
                stdin=subprocess.DEVNULL if stdin is None or stdio[0] else stdin,
                stdout=subprocess.DEVNULL if stdio[1] > 2 else stdout,
                stderr=stderr,
                pass_fds=tuple(pass_fds),
                close_fds=True,
                start_new_session=True,
                env=environment(ordered.programs),
                cwd="/",
            )
        except (OSError, ValueError) as error:
            reason = isinstance(error, OSError) and ulimits.explain(error)
            raise SandboxError(
                f"{cage.name}: the cage could not be started ({error}): {reason or f'check {words[0]}'}"
            ) from error
        theirs.close()  # so that an end at the other side is seen
        undo.pop_all()
        if leaf is None:
            _tell(teller, spec)
            return CagedProcess(process, cage, family)
        running = CagedProcess(process, cage, family, leaf)
        spec["cgroup"] = running.cgroup
        _tell(teller, spec)  # it has waited for that, and does nothing outside of its cgroup
        return running


def _tell(teller: socket.socket, spec: dict[str, Any]) -> None:
    """Give the launcher its order."""
    order = marshal.dumps(spec, 2)
    teller.settimeout(_LISTENS_WITHIN_S)
    # That it has ended, or does not listen, is noticed by whoever waits for its report.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
        teller.sendall(len(order).to_bytes(4, "little") + order)


def _leaf(cage: Cage, programs: bool) -> Leaf | None:
    """A cgroup for `cage`; None where none is delegated, or none can be made: then it keeps its other layers."""
    base = delegated() if cage.tier is not Tier.OFF else None
    if base is None or isinstance(base, Absent):
        return None
    try:
        return base.leaf(cage.bounds, programs=programs)
    except OSError:
        return None


@functools.cache
def bubblewrap() -> str:
    """The path of bwrap. Raises SandboxUnavailable if it is not installed."""
    found = shutil.which("bwrap", path=os.environ.get("PATH", os.defpath))
    if found is None:
        raise SandboxUnavailable("the program bwrap is not installed: install the package bubblewrap")
    return os.path.realpath(found)
