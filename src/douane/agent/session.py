"""The conversation with one client, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from typing import Any

from douane.errors import AgentError, ClientGone, DouaneError
from douane.stream.sink import FileSink

from .client_image import check_image, check_result, image_source
from .protocol import (
    VERSION,
    Connection,
    Failed,
    Hangup,
    InspectRequest,
    PlanFacts,
    PlanRequest,
    Reported,
    Request,
    Started,
    Waiting,
    convert,
)
from .workers import Job, Workers

log = logging.getLogger("douane")

_CHECK_SECONDS = 1.0
"""How often a waiting client is checked: is the connection still open?"""


class Session:
    """One request and its replies. `wait`: seconds that an image may wait for a worker."""

    def __init__(self, connection: Connection, workers: Workers, facts: PlanFacts, wait: float) -> None:
        """`facts` are those of the plan that is served now."""
        self._connection = connection
        self._workers = workers
        self._facts = facts
        self._wait = wait

    def run(self) -> None:
        """Answer the client, and close the connection. Raises nothing that a client could cause."""
        with contextlib.suppress(Hangup), contextlib.closing(self._connection):
            try:
                fields, fds = self._connection.receive_fields()
                with contextlib.ExitStack() as descriptors:
                    for fd in fds:
                        descriptors.callback(os.close, fd)
                    self._answer(_request(fields), fds)
            except AgentError as error:
                self._connection.send(Failed(error.code, str(error)))
            except (OSError, MemoryError) as error:
                log.exception("a client cannot be answered")
                self._connection.send(Failed(code="engine-failed", message=str(error)))

    def _answer(self, request: Request, fds: list[int]) -> None:
        if isinstance(request, PlanRequest):
            self._connection.send(self._facts)
        elif fds:
            self._inspect(request, fds[0], fds[1] if len(fds) > 1 else None)
        else:
            raise AgentError("an inspection was requested, but no image came with the request")

    def _inspect(self, request: InspectRequest, image: int, result: int | None) -> None:
        check_image(image)
        if result is not None:
            check_result(result, image)

        # The source closes a copy: after closing `image` itself, its number could be another client's by the time this
        # session closes its own.
        job = Job(
            lambda: image_source(os.dup(image), request.name, request.size, self._connection),
            request.declared,
            FileSink(result, "the result") if result is not None else None,
            self._check_client,
        )
        self._workers.put(job)
        try:
            self._follow(job)
        finally:
            # Even if the client is gone, the descriptors must stay open while a worker has the job: another client's
            # descriptors would get their numbers next.
            if not job.claim():
                job.ended.wait()

    def _follow(self, job: Job) -> None:
        """Tell the client what happens. Raises Hangup if the client is gone."""
        self._connection.send(Waiting())
        end = time.monotonic() + self._wait
        while not job.started.wait(min(_CHECK_SECONDS, max(0.0, end - time.monotonic()))):
            if self._is_client_gone():
                raise Hangup("the client went away while its image waited")
            if time.monotonic() >= end and job.claim():
                self._connection.send(busy(self._wait))
                return
        self._connection.send(Started(job.plan_digest))
        job.ended.wait()
        self._connection.send(_reply(job))

    def _is_client_gone(self) -> bool:
        poll = select.poll()
        poll.register(self._connection.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _check_client(self) -> None:
        if self._is_client_gone():
            raise ClientGone("the client went away before the outcome")


def busy(seconds: float) -> Failed:
    """The reply to a client whose image found no free worker."""
    return Failed(code="busy", message="too many images are being checked", retry_after=seconds)


def _request(fields: dict[str, Any]) -> Request:
    """Raises AgentError."""
    version = fields.get("version")
    if version != VERSION:
        raise AgentError(f"this agent speaks version {VERSION}, not {version!r:.20}: upgrade both alike")
    request: Request = convert(fields, Request)
    return request


def _reply(job: Job) -> Reported | Failed:
    if job.report is not None:
        return Reported(job.report)
    code = job.error.code if isinstance(job.error, DouaneError) else "engine-failed"
    return Failed(code, str(job.error))
