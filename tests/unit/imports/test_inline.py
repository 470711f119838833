"""An upload that a door hands to a worker as it comes."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from douane.errors import SourceError
from douane.imports.inline import Begun, Done, Hangup, WorkerConnection, reach_worker, short_path
from douane.imports.sender_pace import SenderPace
from douane.imports.worker_side import DoorConnection, accept_door
from douane.stream.ring import Ring
from support.waiting import until

Work = Callable[[DoorConnection], None]


@pytest.fixture(params=["a short path", "a long path"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path if request.param == "a short path" else tmp_path / ("x" * 120)
    folder.mkdir(exist_ok=True)
    return folder / "workers.sock"


@pytest.fixture
def listener(address: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        with short_path(address) as name:
            sock.bind(name)
        sock.listen(1)
        sock.setblocking(False)
        yield sock


@pytest.fixture
def work(listener: socket.socket) -> Iterator[Callable[[Work], list[DoorConnection | None]]]:
    """Accept a door in a thread, and do something with it."""
    threads: list[threading.Thread] = []

    def start(do: Work) -> list[DoorConnection | None]:
        doors: list[DoorConnection | None] = []

        def run() -> None:
            listener.setblocking(True)
            door = accept_door(listener, "worker-1")
            doors.append(door)
            if door is not None:
                do(door)
                door.close()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return doors

    yield start
    for thread in threads:
        thread.join()


def read(door: DoorConnection, size: int | None = None) -> bytes | SourceError:
    """What a run receives of the door's image."""
    ring = Ring()
    source = door.upload("the image", size, SenderPace(lambda: False)).source()
    try:
        source.pump(ring)
        return bytes(ring.view[: ring.size])
    except SourceError as error:
        return error
    finally:
        source.close()
        ring.stop()
        ring.close()


async def reach(address: Path) -> WorkerConnection:
    connection = await reach_worker(address, 10.0)
    assert connection is not None
    assert connection.worker == "worker-1"
    return connection


async def send(connection: WorkerConnection, data: bytes) -> int:
    """Hand a pipe with `data` over; return its writing end."""
    read_end, write_end = os.pipe()
    await connection.run("0" * 36, 3, read_end)
    os.close(read_end)
    os.write(write_end, data)
    return write_end


def test_a_worker_receives_the_whole_image_and_the_door_its_outcome(
    address: Path, work: Callable[[Work], list[DoorConnection | None]]
) -> None:
    received: list[bytes | SourceError] = []

    def run(door: DoorConnection) -> None:
        assert (door.task_id, door.token) == ("0" * 36, 3)
        door.begin()
        received.append(read(door, 5))
        door.end(Done("refused", "bad", "the image is bad", image_status="queued"))

    work(run)

    async def door() -> None:
        connection = await reach(address)
        pipe = await send(connection, b"image")
        assert await connection.reply() == Begun()
        os.close(pipe)
        await connection.end()
        assert await connection.reply() == Done("refused", "bad", "the image is bad", image_status="queued")
        with pytest.raises(Hangup):
            await connection.reply()
        connection.close()

    asyncio.run(door())
    assert received == [b"image"]


@pytest.mark.parametrize("size", [None, 5, 6])
@pytest.mark.parametrize("closes", ["the pipe first", "the connection first"])
def test_an_image_whose_door_does_not_say_the_end_was_given_up(
    address: Path, work: Callable[[Work], list[DoorConnection | None]], size: int | None, closes: str
) -> None:
    received: list[bytes | SourceError] = []
    work(lambda door: received.append(read(door, size)))

    async def door() -> None:
        connection = await reach(address)
        pipe = await send(connection, b"image")
        for close in (lambda: os.close(pipe), connection.close)[:: 1 if closes == "the pipe first" else -1]:
            close()

    asyncio.run(door())
    until("the worker has noticed", lambda: bool(received))
    assert isinstance(received[0], SourceError)
    assert received[0].code == "truncated"
    assert "gave up" in str(received[0])


def test_an_image_shorter_than_announced_says_so_when_the_door_has_sent_all_of_it(
    address: Path, work: Callable[[Work], list[DoorConnection | None]]
) -> None:
    received: list[bytes | SourceError] = []
    work(lambda door: received.append(read(door, 6)))

    async def door() -> None:
        connection = await reach(address)
        os.close(await send(connection, b"image"))
        await connection.end()
        with pytest.raises(Hangup):
            await connection.reply()
        connection.close()

    asyncio.run(door())
    assert "ended after 5 of the announced 6 bytes" in str(received[0])


def test_no_worker_is_reached_where_none_listens_or_none_is_free(address: Path, listener: socket.socket) -> None:
    async def doors() -> None:
        missing = address.with_name("missing.sock")
        assert await reach_worker(missing, 0.01) is None
        assert [await reach_worker(address, 0.01) for _ in range(3)] == [None] * 3  # the last: the queue is full

    asyncio.run(doors())


def test_a_worker_drops_doors_that_are_gone_and_takes_the_next(
    address: Path, listener: socket.socket, work: Callable[[Work], list[DoorConnection | None]]
) -> None:
    assert asyncio.run(reach_worker(address, 0.01)) is None
    assert accept_door(listener, "worker-1") is None
    work(lambda door: door.end(Done("accepted")))

    async def door() -> None:
        connection = await reach(address)
        os.close(await send(connection, b""))
        assert await connection.reply() == Done("accepted")
        connection.close()

    asyncio.run(door())


@pytest.mark.parametrize(
    "sent", [b'{"do": "run"}\n', b"no JSON\n", b'{"do": "run", "task_id": "a", "token": 1}\n', b""]
)
def test_a_worker_closes_a_connection_that_brings_no_image(listener: socket.socket, address: Path, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client, short_path(address) as name:
        client.connect(name)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert accept_door(listener, "worker-1") is None
        assert client.makefile().read() == '{"state": "ready", "worker": "worker-1"}\n'
