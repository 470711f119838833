"""The keeper: a process that ends a plugin's children with the plugin, and the plugin with the engine.

The keeper has the sandbox's powerless user, but not its rules. In a pid namespace it is process 1, whose end is the end
of all others (pid_namespaces(7)). Elsewhere it reaps every process of the sandbox (PR_SET_CHILD_SUBREAPER(2const)) and
kills their group. It acts when the plugin has ended, when the engine closes the leash, and when the engine has ended,
for any reason. Its exit status is the plugin's.
"""

from __future__ import annotations

import os

from .libc import Memory, call, close_all_but, packed

_PR_SET_CHILD_SUBREAPER = 36
_SIGKILL = 9
_POLLIN = 1
_CLEAN = bytes(4)
_STOPPING_SIGNALS = (17, 18, 19, 20, 21, 22, 23, 28)
"""Signals that do not end a process by default, so that they cannot have ended the plugin."""


def split(engine: int, leash: int) -> int:
    """Fork. The child returns, with the keeper's pid; the keeper never returns.

    engine: a pidfd of the engine. leash: a socket whose other end the engine holds; -1 for none.
    """
    call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    keeper = os.getpid()
    child = os.fork()
    if child:
        try:
            _keep(engine, leash, child)
        finally:
            os._exit(70)
    os.setpgid(0, 0)  # its own group, which seccomp lets no process leave
    os.close(engine)
    if leash >= 0:
        os.close(leash)
    return keeper


def _keep(engine: int, leash: int, child: int) -> None:
    try:  # noqa: SIM105  # contextlib would be one more import
        os.setpgid(child, child)  # either of the two may be first
    except OSError:
        pass
    watched = [os.pidfd_open(child), engine, *([leash] if leash >= 0 else [])]
    close_all_but(set(watched))  # the plugin's ends of the channel and the pipes must close with the plugin
    try:
        if leash >= 0:
            os.write(leash, packed((child, 4)))
        table = Memory(b"".join(packed((fd, 4), (_POLLIN, 2), (0, 2)) for fd in watched))
        call("poll", table.address, len(watched), -1)
    finally:
        status = _end(child)
    if leash >= 0:
        try:  # noqa: SIM105  # contextlib would be one more import
            os.write(leash, _CLEAN)
        except OSError:
            pass  # the engine closed the leash first
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) not in _STOPPING_SIGNALS:
        number = os.WTERMSIG(status)
        if os.getpid() == 1:
            os._exit(128 + number)  # its own signals do not end process 1
        if number != _SIGKILL:
            import _signal  # type: ignore[import-not-found]  # built in; signal itself imports enum

            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def _end(child: int) -> int:
    """Kill and reap all processes; return the wait status of `child`."""
    status_of_first, reaped = _SIGKILL, False
    while True:
        for kill, whom in ((os.killpg, child), (os.kill, child)):
            try:  # noqa: SIM105  # contextlib would be one more import
                kill(whom, _SIGKILL)
            except OSError:
                pass  # already gone
            if reaped:
                break  # its pid may belong to another process now; its group is ours while it has members
        _kill_strays()
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return status_of_first
        if pid == child:
            status_of_first, reaped = status, True


def _kill_strays() -> None:
    # Only in tier off can a child have left the group.
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            pids = [int(pid) for pid in file.read().split()]
    except OSError:
        return
    for pid in pids:
        try:  # noqa: SIM105  # contextlib would be one more import
            os.kill(pid, _SIGKILL)
        except OSError:
            pass
