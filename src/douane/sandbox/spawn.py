"""Start a process in its sandbox."""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import socket
import stat
import subprocess
from collections.abc import Sequence

from douane.errors import SandboxError, SandboxUnavailable

from . import host_limits
from .base_files import shown_files, synthetic_files
from .cgroup import Leaf
from .cgroup_delegation import Absent, delegated
from .connect_calls import can_read_calls
from .descriptors import Descriptors
from .executables import find_program
from .interpreter import CAGED
from .launch_spec import Access, decide_access, environment, launch_spec
from .mounts import command
from .private_folder import PrivateFolder
from .process import Family, SandboxProcess
from .spec import Program, PythonRuntime, SandboxSpec, Tier

_LAUNCHER = "import sys; sys.path.insert(0, sys.argv[1]); import caged.launch; caged.launch.main()"
_RECEIVED_WITHIN_S = 20


def start(
    sandbox: SandboxSpec,
    run: PythonRuntime | Program,
    *,
    channel: int,
    keep: Sequence[int] = (),
    readable: Sequence[int] = (),
    writable: Sequence[int] = (),
    stdin: int | None = None,
    calls: int | None = None,
    stdout: int,
    stderr: int,
) -> SandboxProcess:
    """Start `run` in `sandbox`. Raises SandboxError if the sandbox cannot be built.

    channel: the child's end of a connected Unix stream socket. It keeps its number, and is closed when a Program is
    executed, unless the program speaks. keep: further descriptors, which keep their numbers; sockets must be connected
    streams, because a datagram socket can send to anybody. readable: descriptors whose file may be opened again through
    /proc/self/fd/N, for reading only. writable: files without a name that may be opened again for writing as well, up
    to `Bounds.file_bytes`. stdin: None for an empty one. calls: the
    launcher's end of a socket, to send the descriptor that tells of calls of connect(2) (`connect_calls`), if libraries
    may call it. The process inherits nothing else; its environment is a fixed
    minimum, its working directory is /.

    Call it from a thread that outlives the sandbox: the kernel kills the process when the thread that started it ends
    (PR_SET_PDEATHSIG(2const)).
    """
    descriptors = Descriptors(channel, tuple(keep), tuple(readable), tuple(writable), stdin, stdout, stderr, calls)
    try:
        if calls is not None:
            _check_calls(sandbox)
        descriptors.check()
        lowest = os.dup(channel)
        os.close(lowest)
        host_limits.check_descriptors(sandbox.name, lowest)
        return _start(sandbox, run, descriptors)
    except OSError as error:
        reason = host_limits.explain(error) or str(error)
        raise SandboxError(f"{sandbox.name}: the sandbox could not be started: {reason}") from error


def _start(sandbox: SandboxSpec, run: PythonRuntime | Program, descriptors: Descriptors) -> SandboxProcess:
    access = decide_access(sandbox, run)
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        undo = ours.enter_context(contextlib.ExitStack())  # until a SandboxProcess owns these
        folder = None
        if sandbox.temporary == "disk":
            folder = PrivateFolder(access.uid, sandbox.bounds, is_mounted=sandbox.tier is Tier.FULL)
            undo.callback(folder.close)
        links = _Links(sandbox, access, descriptors, folder, theirs)
        undo.callback(links.family.close)
        _give_streams(access, descriptors)
        # Not in the arguments, which the plugin (sys.orig_argv) and everybody on the host can read. Not in a pipe,
        # which holds only 4 KiB once the user has used up the space for pipes (pipe(7)).
        sender, receiver = socket.socketpair()
        ours.enter_context(sender)
        theirs.enter_context(receiver)
        leaf = _leaf(sandbox, access.forks)
        if leaf is not None:
            undo.callback(leaf.close)
        python = (sandbox.interpreter.executable, "-I", "-S", "-B", "-c", _LAUNCHER, os.path.dirname(CAGED))
        words = [*links.words, *python, str(receiver.fileno())]
        process = _popen(sandbox.name, words, access, descriptors, links, receiver.fileno())
        theirs.close()  # so that the end of the other side is noticed
        undo.pop_all()
        running = SandboxProcess(process, sandbox, links.family, leaf, folder)
        try:
            # The launcher waits for its instructions. The seccomp filter is built while the interpreter starts.
            spec = launch_spec(
                sandbox,
                run,
                access,
                descriptors,
                stdio=links.stdio,
                leash=links.leash,
                engine_fd=links.engine_fd,
                cgroup=running.cgroup,
                folder=links.visible_folder,
            )
        except BaseException:
            running.kill()
            raise
        running.visible = (*spec["read"], *(granted.path for granted in sandbox.granted))
        running.folder = links.visible_folder
        _send(sender, marshal.dumps(dict(spec), 2))
        return running


def _check_calls(sandbox: SandboxSpec) -> None:
    if not can_read_calls():
        raise SandboxError(
            f"{sandbox.name}: 'socket_paths' needs the capability CAP_SYS_PTRACE, which Douane lacks here, to read "
            "where a library connects to: give it (docker run --cap-add SYS_PTRACE), run Douane as an ordinary user, "
            "or leave 'socket_paths' out and use self.grant(...).connect()"
        )
    if sandbox.tier is Tier.OFF:
        raise SandboxError(
            f"{sandbox.name}: 'socket_paths' needs the tier full or strict: without a sandbox, nothing stops a "
            "library's connect(2) and asks Douane; use self.grant(...).connect()"
        )


class _Links:
    """What connects the engine, bwrap and the launcher; descriptors of the other side are closed by `theirs`."""

    def __init__(
        self,
        sandbox: SandboxSpec,
        access: Access,
        descriptors: Descriptors,
        folder: PrivateFolder | None,
        theirs: contextlib.ExitStack,
    ) -> None:
        self.words: list[str] = []
        """The command that the launcher's command is appended to."""

        self.visible_folder = ""
        """The path of the private /tmp, as the plugin sees it; empty if it has none."""
        if sandbox.temporary != "none":
            self.visible_folder = folder.path if folder is not None and sandbox.tier is not Tier.FULL else "/tmp"  # noqa: S108

        self.stdio = (0, 1, 2)
        self.leash = self.engine_fd = -1
        self.family = Family()
        self.fds: set[int] = {descriptors.channel, *descriptors.handed}
        if descriptors.calls is not None:
            self.fds.add(descriptors.calls)
        """Descriptors that the process inherits."""

        if sandbox.tier is Tier.FULL or access.forks:
            # A pidfd is valid in another pid namespace, and never means a later process of the same number.
            self.engine_fd = os.pidfd_open(os.getpid())
            theirs.callback(os.close, self.engine_fd)
            self.fds.add(self.engine_fd)
        if sandbox.tier is Tier.FULL:
            self._add_bwrap(sandbox, access, descriptors, folder, theirs)
        elif access.forks:
            near, far = socket.socketpair()
            self.leash = far.detach()
            theirs.callback(os.close, self.leash)
            self.family = Family(leash=near.detach())
            self.fds.add(self.leash)

    def _add_bwrap(
        self,
        sandbox: SandboxSpec,
        access: Access,
        descriptors: Descriptors,
        folder: PrivateFolder | None,
        theirs: contextlib.ExitStack,
    ) -> None:
        bwrap = bubblewrap()
        info, info_there = os.pipe2(os.O_CLOEXEC)
        theirs.callback(os.close, info_there)
        self.family = Family(info=info, init=True)
        # The reading end as well: a bwrap that cannot write there, because the engine has just died, ends and leaves
        # its child waiting for ever (bubblewrap 0.8; 10 of 120 engines killed at random).
        self.fds.update((info, info_there))
        self.words = [
            *command(
                bwrap,
                (*access.paths, *shown_files()),
                own_user=access.own_user,
                read_all=access.read_all,
                info_fd=info_there,
                temporary=sandbox.temporary,
                folder=folder.path if folder is not None else "",
                files=self._accounts(access, theirs),
                granted=[granted.path for granted in sandbox.granted],
            ),
            "--",
        ]
        # bwrap keeps its own standard descriptors open, which would hide that a plugin closed its input.
        self.stdio = (0 if descriptors.stdin is None else descriptors.stdin, descriptors.stdout, 2)
        self.fds.update(fd for fd in self.stdio if fd > 2)

    def _accounts(self, access: Access, theirs: contextlib.ExitStack) -> dict[str, int]:
        """Descriptors of /etc/passwd and /etc/group, for bwrap to copy."""
        uid = os.getuid() if access.uid is None else access.uid
        gid = os.getgid() if access.uid is None else access.uid
        fds = {}
        for path, text in synthetic_files(uid, gid, self.visible_folder or "/").items():
            fd = os.memfd_create(os.path.basename(path), os.MFD_CLOEXEC)
            theirs.callback(os.close, fd)
            os.write(fd, text.encode())
            os.lseek(fd, 0, os.SEEK_SET)
            fds[path] = fd
        self.fds.update(fds.values())
        return fds


def _give_streams(access: Access, descriptors: Descriptors) -> None:
    """Let the sandbox's own user open /dev/stdin, /dev/stdout and /dev/stderr, which are pipes of the engine's."""
    if access.uid is None:
        return
    for fd in (descriptors.stdin, descriptors.stdout, descriptors.stderr):
        if fd is not None and stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.fchown(fd, access.uid, access.uid)


def _popen(
    name: str, words: list[str], access: Access, descriptors: Descriptors, links: _Links, receiver: int
) -> subprocess.Popen[bytes]:
    stdin, stdout = descriptors.stdin, descriptors.stdout
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL if stdin is None or links.stdio[0] else stdin,
            stdout=subprocess.DEVNULL if links.stdio[1] > 2 else stdout,
            stderr=descriptors.stderr,
            pass_fds=(receiver, *links.fds),
            close_fds=True,
            start_new_session=True,
            env=environment(access, links.visible_folder),
            cwd="/",
        )
    except (OSError, ValueError) as error:
        reason = isinstance(error, OSError) and host_limits.explain(error)
        raise SandboxError(
            f"{name}: the sandbox could not be started ({error}): {reason or f'check {words[0]}'}"
        ) from error


def _send(sender: socket.socket, instructions: bytes) -> None:
    sender.settimeout(_RECEIVED_WITHIN_S)
    # If the launcher has ended, or does not read, the engine notices when it waits for the report.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
        sender.sendall(len(instructions).to_bytes(4, "little") + instructions)


def _leaf(sandbox: SandboxSpec, forks: bool) -> Leaf | None:
    """A cgroup for `sandbox`; None if no cgroup is delegated, or none can be created. The other layers remain."""
    base = delegated() if sandbox.tier is not Tier.OFF else None
    if base is None or isinstance(base, Absent):
        return None
    try:
        return base.leaf(sandbox.bounds, forks=forks)
    except OSError:
        return None


@functools.cache
def bubblewrap() -> str:
    """The path of bwrap. Raises SandboxUnavailable if it is not installed."""
    path = find_program("bwrap")
    if path is None:
        raise SandboxUnavailable("the program bwrap is not installed: install the package bubblewrap")
    return os.path.realpath(path)
