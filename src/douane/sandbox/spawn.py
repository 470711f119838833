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

from .cage import Cage, Program, PythonRuntime, Tier
from .errors import SandboxError, SandboxUnavailable
from .grants import check_grant, protect
from .interpreter import CHILD
from .mounts import command
from .order import environment, order
from .process import CagedProcess, Family

_LAUNCHER = "import sys; sys.path.insert(0, sys.argv[1]); import child.launch; child.launch.main()"


def start(
    cage: Cage,
    run: PythonRuntime | Program,
    *,
    channel: int,
    keep: Sequence[int] = (),
    readable: Sequence[int] = (),
    stdin: int | None = None,
    stdout: int,
    stderr: int,
) -> CagedProcess:
    """Start `run` in `cage`. Raises SandboxError if the cage cannot be built.

    channel: the child's end of a connected Unix stream socket; it has the same number there, and is closed
    when a Program is executed. keep: further descriptors, at their numbers; sockets must be connected
    streams, because a datagram socket can send to anybody. readable: those of `keep` whose file may be
    opened again through /proc/self/fd/N, for reading only. stdin None is empty. Nothing else is inherited,
    the environment holds a fixed minimum, the working directory is /.

    Call it from a thread that outlives the cage: the kernel kills the process when the thread that started
    it ends (PR_SET_PDEATHSIG(2const)).
    """
    for fd in keep:
        check_grant(fd)
    for fd in readable:
        protect(fd)
    ordered = order(cage, run)
    words: list[str] = []
    stdio = [0, 1, 2]
    family = Family()
    with contextlib.ExitStack() as theirs:
        leash_there = -1
        pass_fds = {channel, *keep, *readable}
        engine_there = -1
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
            ours, far = socket.socketpair()
            leash_there = far.detach()
            theirs.callback(os.close, leash_there)
            family = Family(leash=ours.detach())
            pass_fds.add(leash_there)
        words += [str(cage.interpreter.executable), "-I", "-S", "-B", "-c", _LAUNCHER, str(CHILD.parent)]
        spec = {
            **ordered.spec,
            "channel": channel,
            "stdio": stdio,
            "keep": sorted({*keep, *readable}),
            "readable": list(readable),
            "leash": leash_there,
            "engine_fd": engine_there,
        }
        try:
            process = subprocess.Popen(
                [*words, marshal.dumps(spec, 2).hex()],
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
            family.close()
            raise SandboxError(f"{cage.name}: the cage could not be started ({error}): check {words[0]}") from error
    return CagedProcess(process, cage, family)


@functools.cache
def bubblewrap() -> str:
    """The path of bwrap. Raises SandboxUnavailable if it is not installed."""
    found = shutil.which("bwrap", path=os.environ.get("PATH", os.defpath))
    if found is None:
        raise SandboxUnavailable("the program bwrap is not installed: install the package bubblewrap")
    return os.path.realpath(found)
