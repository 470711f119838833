"""No client can close the agent to others: neither by sending slowly, nor by saying nothing, nor by what it sends."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from douane.agent import Agent, AgentInspection
from douane.agent.lobby import MAX_SILENT
from douane.agent.protocol import Failed, InspectReply, InspectRequest, Reported, Started, Waiting
from douane.declared import DeclaredImage
from douane.engine import RunEnded
from douane.errors import AgentError
from douane.stream.connection import Connection
from support.agent import StartAgent, plan
from support.waiting import until

MIB = 1 << 20


def accepts_images(agent: Agent, folder: Path) -> bool:
    image = folder / "image.raw"
    image.write_bytes(os.urandom(MIB))
    with image.open("rb") as file:
        return agent.inspect(file.fileno(), DeclaredImage(), "the image").outcome == "accepted"


@pytest.fixture
def uploads() -> Iterator[list[AgentInspection]]:
    """Uploads that are given up at the end."""
    inspections: list[AgentInspection] = []
    yield inspections
    for inspection in inspections:
        inspection.abort("the test is over")


def test_senders_of_a_few_bytes_leave_the_slots_to_others(
    start_agent: StartAgent, uploads: list[AgentInspection], tmp_path: Path
) -> None:
    agent = Agent(start_agent(plan("Sha"), "--at-once", "1").socket)
    for number in range(4):
        uploads.append(agent.begin(DeclaredImage(), None, f"upload {number}"))
        uploads[-1].write(b"x")
    assert accepts_images(agent, tmp_path)
    assert uploads[2].finish().properties["sha.256"] == hashlib.sha256(b"x").hexdigest()


def test_an_image_that_stops_flowing_leaves_its_slot_and_goes_on_later(
    start_agent: StartAgent, uploads: list[AgentInspection], tmp_path: Path
) -> None:
    agent = Agent(start_agent(plan("Sha"), "--at-once", "1").socket)
    slow, quick = (agent.begin(DeclaredImage(), None, name) for name in ("slow", "quick"))
    uploads += [slow, quick]
    data = os.urandom(7 * MIB + 11)
    slow.write(data[: 3 * MIB])
    assert accepts_images(agent, tmp_path)
    slow.write(data[3 * MIB :])
    quick.write(data)
    for inspection in (quick, slow):
        report = inspection.finish()
        assert (report.outcome, report.properties) == ("accepted", {"sha.256": hashlib.sha256(data).hexdigest()})


def test_the_slowest_image_gives_way_where_there_are_too_many(
    start_agent: StartAgent, uploads: list[AgentInspection], tmp_path: Path
) -> None:
    agent = Agent(start_agent(plan("Sha"), "--at-once", "1", "--slow", "1", "--min-rate", "1GiB").socket)
    for number in range(3):
        uploads.append(agent.begin(DeclaredImage(), None, f"upload {number}"))
        uploads[-1].write(bytes(MIB))
        assert accepts_images(agent, tmp_path)  # and so the image before has lost its slot

    def has_given_way(upload: AgentInspection) -> bool:
        with contextlib.suppress(RunEnded):
            upload.write(b"x")
            return False
        return True

    until("two images give way", lambda: sum(has_given_way(upload) for upload in uploads) == 2)
    for upload in filter(has_given_way, uploads):
        with pytest.raises(AgentError) as caught:
            upload.result()
        assert (caught.value.code, caught.value.retry_after) == ("too-slow", 300.0)
    assert accepts_images(agent, tmp_path)


def test_all_slow_images_that_come_to_their_end_are_inspected(
    start_agent: StartAgent, uploads: list[AgentInspection]
) -> None:
    agent = Agent(start_agent(plan("Sha"), "--at-once", "1", "--slow", "1").socket)
    for number in range(6):
        uploads.append(agent.begin(DeclaredImage(), None, f"upload {number}"))
        uploads[-1].write(b"x")
    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(AgentInspection.finish, uploads))
    assert [report.outcome for report in reports] == ["accepted"] * 6


def test_clients_that_say_nothing_do_not_close_the_agent(start_agent: StartAgent, tmp_path: Path) -> None:
    server = start_agent(plan("Count"))
    with contextlib.ExitStack() as stack:
        for number in range(300):
            client = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            client.connect(server.socket)
            if number % 2:
                client.sendall(b'{"version"')
        agent = Agent(server.socket)
        assert agent.plan().plugins == ["count"]
        assert accepts_images(agent, tmp_path)
        descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        assert descriptors < MAX_SILENT + 100


def ask(path: str, *descriptors: int, rest: tuple[int, ...] = ()) -> Reported | Failed:
    """The reply to a request with these descriptors; `rest` come with the line at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
        connection = Connection(sock)
        connection.send(InspectRequest(DeclaredImage()), descriptors)
        while isinstance(reply := connection.receive(InspectReply), Waiting):
            pass
        if isinstance(reply, Started):
            if rest:
                try:
                    socket.send_fds(sock, [b'{"do": "end"}\n'], rest)
                except OSError:  # the kernel refuses them
                    sock.sendall(b'{"do": "end"}\n')
            reply = connection.receive(InspectReply)
    assert isinstance(reply, Reported | Failed)
    return reply


def test_descriptors_that_come_with_the_end_are_not_kept(start_agent: StartAgent, tmp_path: Path) -> None:
    server = start_agent(plan("Count"), "--cold", "--at-once", "1")
    folder = f"/proc/{server.process.pid}/fd"
    assert accepts_images(Agent(server.socket), tmp_path)
    before = len(os.listdir(folder))
    with open(os.devnull, "rb") as null:
        for _ in range(20):
            read, write = os.pipe()
            os.write(write, b"image")
            os.close(write)
            ask(server.socket, read, rest=(null.fileno(), null.fileno()))
            os.close(read)
    until("the agent has closed what it received", lambda: len(os.listdir(folder)) <= before + 2)


def test_a_file_for_the_result_that_is_not_empty_is_refused(start_agent: StartAgent, tmp_path: Path) -> None:
    server = start_agent(plan("Upper"))
    image, result = tmp_path / "image", tmp_path / "result"
    image.write_bytes(b"abc")
    result.write_bytes(b"something that was there")
    with image.open("rb") as source, result.open("r+b") as sink:
        reply = ask(server.socket, source.fileno(), sink.fileno())
    assert isinstance(reply, Failed)
    assert "not empty" in reply.message
    assert result.read_bytes() == b"something that was there"


def lingering_socket(peers: list[socket.socket]) -> socket.socket:
    """A connected socket whose close waits for its peer: it has sent more than the peer reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        peers.append(server.accept()[0])
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    sender.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(bytes(1 << 16))
    sender.setblocking(True)
    return sender


@pytest.mark.parametrize("request_line", [b'{"version": 3, "do": "plan"}\n', b"no request\n", b'{"version": 3'])
def test_sockets_that_wait_for_their_peer_hold_no_thread(start_agent: StartAgent, request_line: bytes) -> None:
    """There is a bound on threads: clients whose sockets held them would close the agent to all others."""
    server = start_agent(plan("Count"), "--cold", "--at-once", "1")
    threads = f"/proc/{server.process.pid}/task"
    before = len(os.listdir(threads))
    peers: list[socket.socket] = []
    try:
        for _ in range(8):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.connect(server.socket)
                with lingering_socket(peers) as sent:
                    socket.send_fds(sock, [request_line[:5]], [sent.fileno()])
                sock.sendall(request_line[5:])  # from here on, the agent alone holds it
        until("the agent has no thread more than before", lambda: len(os.listdir(threads)) <= before)
    finally:
        for peer in peers:
            peer.close()
