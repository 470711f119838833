"""The agent: listens on a local socket, inspects so many images at a time, and lets the others wait, not for ever."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from douane.engine import DouaneError, PlanError, choose_tier, load_plan, plan_digest, probe

from .image import HandedSink, source_of
from .protocol import VERSION, Broken, Hangup, Line
from .workers import Job, Serving, Workers

log = logging.getLogger("douane")

_STOP_SECONDS = 60.0
_POLL_MS = 500


@dataclass(frozen=True)
class Options:
    """How the agent serves. `wait` in seconds; `mode` of the socket."""

    socket: str
    config: str | None
    sandbox: str | None = None
    at_once: int = 2
    wait: float = 300.0
    mode: int = 0o660
    warm: bool = True


class ClientGone(DouaneError):
    """The connection was closed before the outcome."""

    code = "client-gone"


def emit(plugin: str, level: int, text: str) -> None:
    """Lines of plugins go into the agent's log."""
    log.log(level, "%s: %s", plugin, text)


class Server:
    """See the module. Raises PlanError or DouaneError if the plan cannot be served: nothing listens then."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._serving, self._facts = self._load(1)
        self._workers = Workers(options.at_once, lambda: self._serving, emit, warm=options.warm)
        self._listening = _listen(options.socket, options.mode)
        self._stopping = False
        self._wake, self.wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def _load(self, number: int) -> tuple[Serving, dict[str, Any]]:
        plan = load_plan(self._options.config)
        if not plan.plugins:
            raise PlanError("the plan has no plugin: every image would be let in; write one")
        serving = Serving(number, plan, choose_tier(plan, self._options.sandbox))
        members = probe(plan, tier=serving.tier, emit=emit)
        facts = {
            "transforms": any(member.is_transform for member in members),
            "digest": plan_digest(members),
            "tier": serving.tier.value,
            "plugins": [member.spec.name for member in members],
        }
        return serving, facts

    def reload(self) -> None:
        """Read the configuration again. If it cannot be served, the one before is."""
        with self._lock:
            try:
                self._serving, self._facts = self._load(self._serving.number + 1)
            except DouaneError as error:
                log.error("the new configuration cannot be used, so the old one is still served: %s", error)
            else:
                log.info("the configuration was read again")

    def run(self) -> None:
        """Serve until :meth:`stop`; what is under way then is ended in its time."""
        poll = select.poll()
        poll.register(self._listening, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        log.info("listening on %s, %d at a time", self._options.socket, self._options.at_once)
        while not self._stopping:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake in ready:
                os.read(self._wake, 512)
            if self._listening.fileno() not in ready:
                continue
            with contextlib.suppress(OSError):  # one that hung up at once, or too many open files: the next may do
                connection, _ = self._listening.accept()
                threading.Thread(target=self._talk, args=(Line(connection),), daemon=True).start()
        self._listening.close()
        with contextlib.suppress(OSError):
            Path(self._options.socket).unlink()
        self._workers.stop(_STOP_SECONDS)

    def stop(self) -> None:
        """Safe in a signal handler; something must come through `wake` for it to be seen."""
        self._stopping = True

    # one client, in a thread of its own

    def _talk(self, line: Line) -> None:
        with contextlib.suppress(Hangup, BrokenPipeError), contextlib.closing(line):
            try:
                asked, fds = line.receive()
                with contextlib.ExitStack() as given:
                    for fd in fds:
                        given.callback(os.close, fd)
                    self._answer(line, asked, fds)
            except Broken as error:
                line.send({"state": "failed", "code": "agent-protocol", "message": str(error)})

    def _answer(self, line: Line, asked: dict[str, Any], fds: list[int]) -> None:
        if asked.get("version") != VERSION:
            raise Broken(f"this agent speaks version {VERSION}, not {asked.get('version')!r:.20}: upgrade both alike")
        if asked.get("do") == "plan":
            line.send({"state": "done", **self._facts})
        elif asked.get("do") == "inspect" and fds and isinstance(asked.get("declared"), dict):
            self._inspect(line, asked, fds)
        else:
            raise Broken(f"it is asked to {asked.get('do')!r:.40}, which it cannot with what it was given")

    def _inspect(self, line: Line, asked: dict[str, Any], fds: list[int]) -> None:
        name, size = str(asked.get("name") or "the image"), asked.get("size")
        image = fds[0]
        sink = HandedSink(fds[1]) if len(fds) > 1 else None
        if sink is not None and not stat.S_ISREG(os.fstat(sink.fd).st_mode):
            raise Broken("the result goes into a regular file")

        # The source closes a copy: the number of one that is closed could be another's file by the time we close ours.
        job = Job(lambda: source_of(os.dup(image), name, size, line), asked["declared"], sink, lambda: _check(line))
        self._workers.put(job)
        line.send({"state": "waiting"})
        if not job.begun.wait(self._options.wait) and job.take():
            line.send(
                {
                    "state": "failed",
                    "code": "busy",
                    "message": "too many images are being checked",
                    "retry_after": self._options.wait,
                }
            )
            return
        job.begun.wait()
        line.send({"state": "begun"})
        job.ended.wait()
        line.send(_told(job))


def _check(line: Line) -> None:
    """Raises DouaneError if the client has closed its end: nobody waits for the outcome any more."""
    poll = select.poll()
    poll.register(line.socket, select.POLLRDHUP)
    if poll.poll(0):
        raise ClientGone("whoever wanted the image inspected went away")


def _told(job: Job) -> dict[str, Any]:
    if job.report is not None:
        return {"state": "done", "report": job.report.to_json()}
    code = job.error.code if isinstance(job.error, DouaneError) else "engine-failed"
    return {"state": "failed", "code": code, "message": str(job.error)}


def _listen(path: str, mode: int) -> socket.socket:
    """A socket at `path`. One that nobody listens on any more is replaced. Raises PlanError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.lstat(path).st_mode) and not _answers(path):
                os.unlink(path)
        before = os.umask(0o177)
        try:
            listening.bind(path)
        finally:
            os.umask(before)
        os.chmod(path, mode)
        listening.listen(128)
    except OSError as error:
        listening.close()
        what = "another agent listens there" if _answers(path) else error.strerror
        raise PlanError(f"the socket {path} cannot be made: {what}; choose another path with --socket") from error
    return listening


def _answers(path: str) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as trying:
        try:
            trying.connect(path)
        except OSError:
            return False
        return True


def serve(options: Options) -> None:
    """Run an agent in this process until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    server = Server(options)
    # The kernel may hand a signal to any thread, and the main one would sleep on (signal.set_wakeup_fd).
    signal.set_wakeup_fd(server.wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(signal.SIGINT, lambda *_: server.stop())
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=server.reload, daemon=True).start())
    server.run()
