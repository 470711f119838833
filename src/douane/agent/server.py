"""The agent: listens on a local socket, inspects so many images at a time, and lets the others wait, not for ever."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
import time
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from douane.declared import DeclaredImage
from douane.engine import choose_tier, load_plan, plan_digest, probe
from douane.errors import ClientGone, DouaneError, PlanError

from .image import HandedSink, check_image, check_result, source_of
from .listening import Listening
from .protocol import VERSION, Broken, Hangup, Line
from .workers import Job, Serving, Workers

log = logging.getLogger("douane")

_STOP_SECONDS = 60.0
_LINE_SECONDS = 30.0
_LINE_BYTES = 1 << 20
_LOOK_SECONDS = 1.0
_MOST_CLIENTS = 256
"""Connections at a time, each of which has a thread that waits."""


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


class Asked(msgspec.Struct):
    """The line that asks for an inspection."""

    declared: dict[str, Any]
    name: str = "the image"
    size: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None


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
        self._listening = Listening(options.socket, options.mode)
        self._clients = threading.BoundedSemaphore(_MOST_CLIENTS)
        self._stopping = False
        self._wake, self.wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def _load(self, number: int) -> tuple[Serving, dict[str, Any]]:
        plan = load_plan(self._options.config)
        if not plan.plugins:
            raise PlanError("the plan has no plugin: every image would be let in; write one")
        tier = choose_tier(plan, self._options.sandbox)
        members = probe(plan, tier=tier, emit=emit)
        transforms = any(member.is_transform for member in members)
        digest = plan_digest(members)
        facts = {
            "transforms": transforms,
            "digest": digest,
            "tier": tier.value,
            "plugins": [member.spec.name for member in members],
        }
        return Serving(number, digest, plan.for_image_service(transforms=transforms), tier), facts

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
        poll.register(self._listening.socket, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        log.info("listening on %s, %d at a time", self._options.socket, self._options.at_once)
        while not self._stopping:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake in ready:
                os.read(self._wake, 512)
            if self._listening.socket.fileno() not in ready:
                continue
            self._accept()
        self._listening.remove()
        self._workers.stop(_STOP_SECONDS)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.socket.accept()
        except OSError as error:
            log.error("a client cannot be heard: %s", error)
            time.sleep(0.1)  # too many open files: that lasts
            return
        line = Line(connection, patience=_LINE_SECONDS, most=_LINE_BYTES)
        try:
            if not self._clients.acquire(blocking=False):
                raise RuntimeError(f"{_MOST_CLIENTS} others are there")
            try:
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()
            except BaseException:
                self._clients.release()
                raise
        except RuntimeError as error:  # also: no more threads are to be had
            log.error("a client is sent away: %s", error)
            with contextlib.suppress(Hangup), contextlib.closing(line):
                line.send(_busy(self._options.wait))

    def stop(self) -> None:
        """Safe in a signal handler; something must come through `wake` for it to be seen."""
        self._stopping = True

    # one client, in a thread of its own

    def _talk(self, line: Line) -> None:
        with contextlib.ExitStack() as ending:
            ending.callback(self._clients.release)
            ending.enter_context(contextlib.suppress(Hangup))
            ending.enter_context(contextlib.closing(line))
            try:
                asked, fds = line.receive()
                with contextlib.ExitStack() as given:
                    for fd in fds:
                        given.callback(os.close, fd)
                    self._answer(line, asked, fds)
            except Broken as error:
                line.send({"state": "failed", "code": "agent-protocol", "message": str(error)})
            except (OSError, MemoryError) as error:
                log.exception("a client cannot be answered")
                line.send({"state": "failed", "code": "engine-failed", "message": str(error)})

    def _answer(self, line: Line, asked: dict[str, Any], fds: list[int]) -> None:
        if asked.get("version") != VERSION:
            raise Broken(f"this agent speaks version {VERSION}, not {asked.get('version')!r:.20}: upgrade both alike")
        if asked.get("do") == "plan":
            line.send({"state": "done", **self._facts})
        elif asked.get("do") == "inspect" and fds:
            self._inspect(line, asked, fds)
        else:
            raise Broken(f"it is asked to {asked.get('do')!r:.40}, which it cannot with what it was given")

    def _inspect(self, line: Line, told: dict[str, Any], fds: list[int]) -> None:
        try:
            asked = msgspec.convert(told, type=Asked)
            declared = DeclaredImage.from_json(asked.declared)
        except msgspec.ValidationError as error:
            raise Broken(f"what it is asked cannot be read: {error}") from error
        image = fds[0]
        check_image(image)
        sink = HandedSink(fds[1]) if len(fds) > 1 else None
        if sink is not None:
            check_result(sink.fd, image)

        # The source closes a copy: the number of one that is closed could be another's file by the time we close ours.
        job = Job(
            lambda: source_of(os.dup(image), asked.name, asked.size, line),
            declared,
            sink,
            lambda: _check(line),
        )
        self._workers.put(job)
        try:
            self._follow(line, job)
        finally:
            # Whatever has become of the client: as long as a worker has the job, the descriptors must stay what they
            # are. Another client's would have their numbers next.
            if not job.take():
                job.ended.wait()

    def _follow(self, line: Line, job: Job) -> None:
        """Tell the client what happens. Raises Hangup, DouaneError if it is gone."""
        line.send({"state": "waiting"})
        end = time.monotonic() + self._options.wait
        while not job.begun.wait(min(_LOOK_SECONDS, max(0.0, end - time.monotonic()))):
            if _is_gone(line):
                raise Hangup("it went away while it waited")
            if time.monotonic() >= end and job.take():
                line.send(_busy(self._options.wait))
                return
        line.send({"state": "begun", "plan": job.plan})
        job.ended.wait()
        line.send(_told(job))


def _busy(seconds: float) -> dict[str, Any]:
    message = "too many images are being checked"
    return {"state": "failed", "code": "busy", "message": message, "retry_after": seconds}


def _is_gone(line: Line) -> bool:
    poll = select.poll()
    poll.register(line.socket, select.POLLRDHUP)
    return bool(poll.poll(0))


def _check(line: Line) -> None:
    """Raises DouaneError if the client has closed its end: nobody waits for the outcome any more."""
    if _is_gone(line):
        raise ClientGone("whoever wanted the image inspected went away")


def _told(job: Job) -> dict[str, Any]:
    if job.report is not None:
        return {"state": "done", "report": job.report.to_json()}
    code = job.error.code if isinstance(job.error, DouaneError) else "engine-failed"
    return {"state": "failed", "code": code, "message": str(job.error)}


def serve(options: Options) -> None:
    """Run an agent in this process until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    server = Server(options)
    # The kernel may hand a signal to any thread, and the main one would sleep on (signal.set_wakeup_fd).
    signal.set_wakeup_fd(server.wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(signal.SIGINT, lambda *_: server.stop())
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=server.reload, daemon=True).start())
    server.run()
