"""Plugins that do one thing right each, for the tests."""

import mmap
import time

from douane_plugin import Defer, Incomplete, Inspector, Reject, Transform


class Maps(Inspector):
    """Map the image and read every page of it."""

    reads = "random"

    def inspect(self, image):
        with mmap.mmap(image.file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            pages = sum(content[offset] for offset in range(0, len(content), mmap.PAGESIZE))
            time.sleep(0.3)  # three measurements
        return {"pages": pages}


class Count(Inspector):
    def inspect(self, image):
        return {"bytes": sum(len(chunk) for chunk in image)}


class Digest(Inspector):
    def inspect(self, image):
        import hashlib

        digest = hashlib.sha256()
        for chunk in image:
            digest.update(chunk)
        return {"sha256": digest.hexdigest()}


class Needle(Inspector):
    """Refuse an image that holds a text, wherever chunks are cut."""

    def __init__(self, text: str, size: int = 4096):
        self.text = text.encode()
        self.size = size

    def inspect(self, image):
        at = 0
        for window in image.windows(self.size, len(self.text) - 1):
            offset = bytes(window).find(self.text)
            if offset >= 0:
                raise Reject("needle", f"the image holds {self.text!r} at {at + offset}")
            at += self.size - len(self.text) + 1


class FirstByte(Inspector):
    """Refuse by the first block of a stream."""

    def inspect(self, image):
        chunk = next(image)
        if chunk[0] == 0xAA:
            raise Reject("first-byte", "the image begins with 0xaa")


class Head(Inspector):
    reads = "head:512"

    def inspect(self, image):
        if image.read(512)[510:512] != b"\x55\xaa":
            raise Reject("no-boot-signature", "the image has no boot sector signature")
        return {"boot": "mbr"}


class Declared(Inspector):
    reads = "nothing"

    def inspect(self, image):
        return {
            "name": image.name or "",
            "size": image.size or -1,
            "disk_format": image.disk_format or "",
            "colour": image.properties.get("colour", ""),
        }


class Random(Inspector):
    reads = "random"

    def inspect(self, image):
        image.file.seek(-4, 2)
        tail = image.file.read(4)
        with open(image.path, "rb") as again:
            head = again.read(4)
        return {"tail": tail.hex(), "head": head.hex(), "size": image.size or -1}


class QemuInfo(Inspector):
    """Asks a program that the operator granted."""

    reads = "random"

    def inspect(self, image):
        import json
        import subprocess

        command = ["qemu-img", "info", "--output=json", "-f", image.disk_format, image.path]
        completed = subprocess.run(command, pass_fds=[image.file.fileno()], capture_output=True, text=True, check=False)
        if completed.returncode != 0:
            raise Incomplete("qemu-img", completed.stderr.strip() or "qemu-img failed")
        return {"virtual_size": json.loads(completed.stdout)["virtual-size"]}


class Speaks(Inspector):
    def inspect(self, image):
        self.log.info("from %s", "the log")
        print("from print")
        self.warn("old", "the image is old")


class Defers(Inspector):
    reads = "nothing"

    def inspect(self, image):
        raise Defer(60, "the rules are being loaded")


class Incompletes(Inspector):
    reads = "nothing"

    def inspect(self, image):
        raise Incomplete("encrypted", "the image is encrypted, so it cannot be looked into")


class Granted(Inspector):
    """Reads a rules file and asks a daemon, both handed to it."""

    def inspect(self, image):
        rules = self.grant("rules").read().decode().split()
        daemon = self.grant("daemon")
        daemon.sendall(b"PING\n")
        return {"rules": len(rules), "daemon": daemon.recv(16).decode().strip()}


class UsesNumpy(Inspector):
    """Threads, a late import and a large library."""

    def inspect(self, image):
        import concurrent.futures

        import numpy

        total = 0
        for chunk in image:
            total += int(numpy.frombuffer(chunk, dtype=numpy.uint8).sum(dtype=numpy.uint64))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            products = list(pool.map(lambda n: float((numpy.ones((n, n)) @ numpy.ones((n, n))).sum()), [64] * 8))
        return {"sum": total, "products": len(set(products))}


class Upper(Transform):
    def transform(self, image):
        for chunk in image:
            yield bytes(chunk).upper()


class StripTrailer(Transform):
    """Keeps the last bytes back until it knows whether they are the last."""

    def __init__(self, length: int):
        self.length = length

    def transform(self, image):
        buffer = b""
        for chunk in image:
            buffer += bytes(chunk)
            yield buffer[: -self.length]
            buffer = buffer[-self.length :]
        image.becomes(disk_format="raw", properties={"stripped": self.length})


class PassOn(Transform):
    def transform(self, image):
        if image.read(4) != b"DOIT":
            image.unchanged()
            return
        yield b"done"


class PassOnLate(Transform):
    """Wants to see more than is held before it decides."""

    def transform(self, image):
        while image.read(1 << 20):
            pass
        image.unchanged()
        yield b""


class LooksAtMuch(Transform):
    """Reads a lot, then makes something else of it."""

    def transform(self, image):
        total = 0
        for chunk in image:
            total += len(chunk)
        yield str(total).encode()


class RandomPassOn(Transform):
    reads = "random"

    def transform(self, image):
        image.file.seek(0, 2)
        image.unchanged()
        yield b""


class RandomGrow(Transform):
    """Seeks, and makes more than it was given."""

    reads = "random"

    def transform(self, image):
        for _ in range(90):
            yield image.file.read(1 << 20).ljust(1 << 20)


class ToldFormat(Inspector):
    reads = "random"

    def inspect(self, image):
        return {"told": image.disk_format or ""}


class WarnsFromThread(Inspector):
    """A warning between the constructor's end and the image."""

    def __init__(self):
        import threading

        threading.Thread(target=self.warn, args=("early", "said before the image came")).start()

    def inspect(self, image):
        pass


class ManyProperties(Inspector):
    """All that a plugin may set, in letters that take the most room."""

    def inspect(self, image):
        return {f"k{number}": "\U0001f600" * 4096 for number in range(64)}


class BecomesLate(Transform):
    def transform(self, image):
        yield b"x" * 600
        image.becomes(container_format="ovf")


class RandomPassOnAfterGate(Transform):
    """Waits, with all of the image in its hands, until it is told to leave it as it is."""

    reads = "random"

    def transform(self, image):
        self.grant("gate").sendall(b"?")
        self.grant("gate").recv(1)
        image.unchanged()
        yield b""


class Unpack(Transform):
    def transform(self, image):
        import zlib

        unpacker = zlib.decompressobj(31)
        for chunk in image:
            yield unpacker.decompress(chunk)


class RandomReverse(Transform):
    reads = "random"

    def transform(self, image):
        yield image.file.read()[::-1]


class Nothing(Transform):
    """The new image is empty."""

    def transform(self, image):
        for _ in image:
            pass
        yield b""


def hidden(name, base, **members):
    return type(name, (base,), members)


HiddenRandom = hidden("HiddenRandom", Random)
HiddenTransform = hidden("HiddenTransform", Upper)


class FromTheFuture(Inspector):
    api = 99
