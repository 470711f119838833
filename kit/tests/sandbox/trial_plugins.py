"""Plugins for the tests in the sandbox, which loads the file of a plugin anew."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from douane_plugin import Defer, Incomplete, Inspector, Reject, Transform


class Looks(Inspector):
    """Returns the declared facts, and the lengths of the chunks."""

    def __init__(self, names: list[str] = [], depth: int = 3):  # noqa: B006  # the test is about a list as default
        self.names = names
        if depth < 1:
            raise ValueError("depth is 1 or more")

    def inspect(self, image):
        self.warn("looked-at", "it was\nlooked at")
        self.propose("hw_disk_bus", "virtio")
        self.log.debug("begins")
        return {
            "chunks": ",".join(str(len(chunk)) for chunk in image),
            "facts": " ".join(
                map(str, (image.name, image.size, image.disk_format, image.container_format, image.owner, image.roles))
            ),
            "properties": str(dict(image.properties)),
            "names": ",".join(self.names),
        }


class Answers(Inspector):
    """Answers as its configuration says."""

    def __init__(self, answer: str):
        self.answer = answer

    def inspect(self, image):
        image.read(2)
        if self.answer == "accept":
            return {"a": 1, "b": True, "c": 1.5, "answers.d": "x"}
        if self.answer == "fail":
            return 1 // 0
        if self.answer == "exit":
            sys.exit(0)
        if self.answer == "properties":
            return {"Upper": 1}
        if self.answer == "warnings":
            for _ in range(101):
                self.warn("again", "and again")
        raise {
            "refuse": Reject("not-this", "not\nthis one"),
            "incomplete": Incomplete("half", "only half of it"),
            "defer": Defer(5, "later"),
            "memory": MemoryError(),
        }[self.answer]


class Keeps(Inspector):
    """Keeps views of chunks."""

    def inspect(self, image):
        views = [chunk[0:1] for chunk in image]
        return {"first": views[0][0]}


class Head(Inspector):
    """Reads beyond its declared head, if the image goes on."""

    reads = "head:5"

    def inspect(self, image):
        return {"read": len(image.read(7))}


class Long(Inspector):
    """Reads up to a hole."""

    reads = "head:52428800"

    def inspect(self, image):
        parts = [bytes(chunk).strip(b"\0") for chunk in image]
        return {"read": image.offset, "zeros": len(b"".join(parts)) - len(b"head")}


class Random(Inspector):
    """Has a program read the image."""

    reads = "random"

    def inspect(self, image):
        with image.file as file:
            return {"size": image.size, "end": os.pread(file.fileno(), 4, image.size - 4).decode()}


class Findings(Inspector):
    """Returns the findings of earlier plugins."""

    reads = "findings"

    def inspect(self, image):
        return {"table": image.findings["format.table"], "more": len(image.findings)}


class Doubles(Transform):
    """Every byte twice; leaves an image that begins with an x as it is."""

    def transform(self, image):
        first = image.read(1)
        if first == b"x":
            image.read(999)
            image.unchanged()
            return
        image.becomes(disk_format="raw", properties={"doubled": True})
        yield first * 2
        for chunk in image:
            yield bytes(letter for letter in chunk for _ in "12")
        if first == b"r":
            raise Reject("no-r", "it begins with an r")


class Empties(Transform):
    """Makes an empty image."""

    def transform(self, image):
        yield b""


class RandomTransform(Transform):
    """Reverses the image."""

    reads = "random"

    def transform(self, image):
        yield image.file.read()[::-1]


class Grants(Inspector):
    """Sends the granted rules to the granted daemon."""

    def inspect(self, image):
        daemon = self.grant("daemon")
        daemon.sendall(self.grant("rules").read())
        return {"answer": daemon.recv(100).decode()}


class ByPath(Inspector):
    """Opens its granted file and folder by their paths."""

    def inspect(self, image):
        folder, file = self.grant("lists"), self.grant("rules")
        with open(file.path, "rb") as again, open(f"{folder.path}/list", "rb") as listed:
            return {"same": again.read() == file.read(), "listed": listed.read().decode()}


class Connects(Inspector):
    """Asks over two connections, one of them at a path."""

    reads = "nothing"

    def inspect(self, image):
        import socket

        grant = self.grant("daemon")
        with grant.connect() as first, socket.socket(socket.AF_UNIX) as second:
            second.connect(grant.socket_path)
            answers = []
            for connection in (first, second):
                connection.sendall(b"PING")
                answers.append(connection.recv(100).decode())
        return {"answers": " ".join(answers)}


class Scratches(Inspector):
    """Writes `length` bytes, which may be more than there is room for."""

    def __init__(self, length: int):
        self.length = length

    def inspect(self, image):
        first, _ = self.scratch
        return {"written": first.file.write(bytes(self.length)), "size": first.size}


class Programs(Inspector):
    """Starts a program."""

    def inspect(self, image):
        return {"said": subprocess.run(["echo", "hello"], capture_output=True, check=True).stdout.decode()}


class Sleeps(Inspector):
    """Never ends."""

    def inspect(self, image):
        print("going to sleep")
        time.sleep(3600)


class Opens(Inspector):
    """Opens a file that it was not granted."""

    def inspect(self, image):
        with open("/etc/hostname", "rb") as file:
            return {"read": len(file.read())}
