"""Uploads that break off at a random byte: none becomes an image, and none leaves one that cannot be used again."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time

from bench.harness import MiB, Row, Settings

from .server import Server

FORMS = ("FIN", "RST", "bad chunk", "wrong size header")
DOORS = ("file", "stage")


def measure(settings: Settings) -> list[Row]:
    """One row: images that are active, or not queued again, after their upload was cut."""
    rounds = settings.times(1000, 40)
    chance = random.Random(settings.seed)
    folder = settings.directory / "serve-cuts"
    folder.mkdir()
    with Server(folder / "home") as server:
        images = []
        for number in range(rounds):
            image = server.create(f"cut {number}")
            images.append(image)
            cut(server.port, image, chance.choice(DOORS), chance.choice(FORMS), chance)
        active, stuck = settled(server, images)
    what = f"uploads cut at random ({', '.join(FORMS)}), both doors: active or stuck images"
    return [Row(what, active + stuck, rounds, "uploads", "", max_ratio=0.0, timed=False)]


def settled(server: Server, images: list[str], seconds: float = 60.0) -> tuple[int, int]:
    """How many of these images are active, and how many are neither active nor queued in the end."""
    end = time.monotonic() + seconds
    active, waiting = 0, list(images)
    while waiting and time.monotonic() < end:
        states = {image: server.status(image) for image in waiting}
        active += sum(state == "active" for state in states.values())
        waiting = [image for image, state in states.items() if state not in ("queued", "active")]
        if waiting:
            time.sleep(0.2)
    return active, len(waiting)


def cut(port: int, image: str, door: str, form: str, chance: random.Random) -> None:
    """Send a part of an upload, and end it in this form."""
    # The service may answer and close first.
    with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(("127.0.0.1", port), 60)) as sock:
        _send(sock, f"/v2/images/{image}/{door}", form, chance)
        if form == "RST":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if form == "FIN":
            sock.shutdown(socket.SHUT_WR)
        _read_answer(sock)


def _send(sock: socket.socket, path: str, form: str, chance: random.Random) -> None:
    sent = chance.choice((0, 1, chance.randrange(1, 64 << 10), chance.randrange(1, 12 * MiB)))
    announced = sent + 1 + chance.randrange(MiB)
    head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    if form == "bad chunk":
        sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{sent + 1:x}\r\n".encode())
        sock.sendall(bytes(sent + 1) + b"\r\nnot a length\r\n")
    elif form == "wrong size header":
        sock.sendall(f"{head}Transfer-Encoding: chunked\r\nX-OpenStack-Image-Size: {announced}\r\n\r\n".encode())
        if sent:
            sock.sendall(f"{sent:x}\r\n".encode() + bytes(sent) + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
    else:
        sock.sendall(f"{head}Content-Length: {announced}\r\n\r\n".encode() + bytes(sent))


def _read_answer(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
        if b"\r\n\r\n" in data:
            break
    return data
