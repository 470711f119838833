"""The conversation with one client, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from douane.bills.kept import write_bill_into
from douane.engine import FileSource, RunOptions
from douane.engine.served_plan import ServedPlan, emit
from douane.errors import AgentError, ClientGone, DouaneError
from douane.sandbox import refuse_descriptors
from douane.stream.connection import Connection, Hangup, close_received, convert
from douane.stream.sink import FileSink
from douane.stream.source import Source, pending_bytes

from .client_image import check_file, check_image, check_result
from .pipe_source import START_BYTES, PipeSource, half_capacity
from .protocol import (
    VERSION,
    Billed,
    BillRequest,
    Failed,
    InspectRequest,
    PlanRequest,
    Reported,
    Request,
    Started,
    Waiting,
)
from .slots import Arrival, Pace, Place, Slots
from .workers import Job, Workers

log = logging.getLogger("douane")

_CHECK_SECONDS = 1.0
"""How often a waiting client is checked: is the connection still open?"""
_GATHER_SECONDS = 0.25
"""How often the pipe of a slow client is looked at."""


class Desk(msgspec.Struct, frozen=True):
    """What all sessions of an agent share."""

    workers: Workers
    slots: Slots
    current_plan: Callable[[], ServedPlan]
    wait: float
    """Seconds that an image may wait for a slot."""
    min_rate: int
    """Bytes a second; an image that comes slower has no slot."""
    bills: AbstractContextManager[object] = msgspec.field(default_factory=threading.Lock)
    """Bills of materials are made one at a time: one takes 0.2 s."""


class Session:
    """One request and its replies."""

    def __init__(self, connection: Connection, desk: Desk) -> None:
        self._connection = connection
        self._desk = desk

    def run(self) -> None:
        """Answer the client, and close the connection. Raises nothing that a client could cause."""
        with contextlib.suppress(Hangup), contextlib.closing(self._connection):
            try:
                fields, fds = self._connection.receive_fields()
                refuse_descriptors(self._connection.socket)  # no line after the first brings any
                with contextlib.ExitStack() as descriptors:
                    for fd in fds:
                        descriptors.callback(close_received, fd)
                    self._answer(_request(fields), fds)
            except AgentError as error:
                self._connection.send(Failed(error.code, str(error), error.retry_after))
            except (OSError, MemoryError, RuntimeError) as error:  # also: no thread is to be had
                log.exception("a client cannot be answered")
                self._connection.send(Failed(code="engine-failed", message=str(error)))

    def _answer(self, request: Request, fds: list[int]) -> None:
        if isinstance(request, PlanRequest):
            self._connection.send(self._desk.current_plan().facts)
        elif isinstance(request, BillRequest):
            if not fds:
                raise AgentError("a bill was requested, but no file came with the request")
            self._write_bill(request, fds[0])
        elif fds:
            self._inspect(request, fds[0], fds[1] if len(fds) > 1 else None)
        else:
            raise AgentError("an inspection was requested, but no image came with the request")

    def _inspect(self, request: InspectRequest, image: int, result: int | None) -> None:
        check_image(image)
        if result is not None:
            check_result(result, image)
        arrival = Arrival(self._desk.min_rate)
        try:
            self._connection.send(Waiting())
            self._wait_for_slot(arrival, self._desk.wait)
            served = self._desk.current_plan()
            arrival.start()
            self._connection.send(Started(served.facts.digest))
            if stat.S_ISFIFO(os.fstat(image).st_mode):
                self._gather(image, arrival, served.plan.deadline)
            job = Job(
                served,
                lambda: self._source(image, request, arrival),
                request.declared,
                FileSink(result, "the result") if result is not None else None,
                self._check_client,
                request.sender,
                request.image,
            )
            self._desk.workers.put(job)
            # Also if the client is gone: while a worker has the job, the descriptors must stay open, as another
            # client's descriptors would get their numbers next.
            job.ended.wait()
        finally:
            self._desk.slots.leave(arrival)
        self._connection.send(self._reply(job))

    def _write_bill(self, request: BillRequest, file: int) -> None:
        check_file(file)
        with self._desk.bills:
            self._check_connection()
            reply = self._bill_reply(request, file)
        self._connection.send(reply)  # a client that does not read it keeps nobody else's bill waiting

    def _bill_reply(self, request: BillRequest, file: int) -> Billed | Failed:
        try:
            write_bill_into(file, request.record, RunOptions(tier=self._desk.current_plan().tier, emit=emit))
        except DouaneError as error:
            return Failed(error.code, str(error))
        except OSError as error:
            return Failed("output-failed", f"the bill cannot be written: {error.strerror}")
        return Billed()

    def _source(self, image: int, request: InspectRequest, arrival: Arrival) -> Source:
        # The source closes a copy: after closing `image` itself, its number could be another client's by the time this
        # session closes its own.
        fd = os.dup(image)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return FileSource(fd, request.name)
        pace = Pace(self._desk.min_rate)
        return PipeSource(fd, request.name, request.size, self._connection, self._desk.slots, arrival, pace)

    def _wait_for_slot(self, arrival: Arrival, seconds: float) -> None:
        """Raises AgentError, and Hangup if the client is gone."""
        end = time.monotonic() + seconds
        self._desk.slots.enqueue(arrival)
        while not arrival.changed.wait(min(_CHECK_SECONDS, max(0.0, end - time.monotonic()))):
            self._check_connection()
            if time.monotonic() >= end:
                raise busy(self._desk.wait)
        if arrival.place is Place.LEFT:
            raise self._too_slow()

    def _gather(self, pipe: int, arrival: Arrival, deadline: float) -> None:
        """Wait, without a slot, until there are bytes enough to start plugins for. Raises AgentError, and Hangup."""
        half = half_capacity(pipe)
        if _holds(pipe, min(START_BYTES, half), Pace.FIRST_SECONDS):
            return
        end = time.monotonic() + deadline
        arrival.changed.clear()
        self._desk.slots.gather(arrival)
        while not _holds(pipe, half, _GATHER_SECONDS):
            arrival.bytes_arrived = pending_bytes(pipe)
            self._check_connection()
            if arrival.place is Place.LEFT or time.monotonic() >= end:
                raise self._too_slow()
        self._check_connection()
        arrival.bytes_arrived = 0  # from here on, its source counts them
        if _is_closed(pipe):  # all of it is here, and needs a slot for a moment only
            self._wait_for_slot(arrival, end - time.monotonic())
        else:
            self._desk.slots.slow_down(arrival)

    def _too_slow(self) -> AgentError:
        message = "the image came too slowly while others waited"
        return AgentError(message, code="too-slow", retry_after=self._desk.wait)

    def _check_connection(self) -> None:
        if self._is_client_gone():
            raise Hangup("the client went away while its image waited")

    def _is_client_gone(self) -> bool:
        poll = select.poll()
        poll.register(self._connection.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _check_client(self) -> None:
        if self._is_client_gone():
            raise ClientGone("the client went away before the outcome")

    def _reply(self, job: Job) -> Reported | Failed:
        if job.report is not None and job.report.code == "too-slow":
            raise self._too_slow()
        if job.report is not None:
            return Reported(job.report)
        code = job.error.code if isinstance(job.error, DouaneError) else "engine-failed"
        return Failed(code, str(job.error))


def busy(seconds: float) -> AgentError:
    """The error of a client for whom there is no place."""
    return AgentError("too many images are being checked", code="busy", retry_after=seconds)


def _holds(pipe: int, count: int, seconds: float) -> bool:
    """Wait until the pipe holds `count` bytes, or its writer has closed it; False if neither came in time."""
    end = time.monotonic() + seconds
    poll = select.poll()
    poll.register(pipe, 0)  # only the hangup; poll(2) has no event for a number of bytes
    while pending_bytes(pipe) < count:
        remaining = end - time.monotonic()
        if remaining <= 0:
            return False
        if poll.poll(min(0.01, remaining) * 1000):
            return True
    return True


def _is_closed(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


def _request(fields: dict[str, Any]) -> Request:
    """Raises AgentError."""
    version = fields.get("version")
    if version != VERSION:
        raise AgentError(f"this agent speaks version {VERSION}, not {version!r:.20}: upgrade both alike")
    request: Request = convert(fields, Request)
    return request
