"""Plugins that write to their scratch files, or wait for what they do not show."""

import os
import subprocess
import time

from douane_plugin import Inspector, Transform


class Writes(Inspector):
    """Writes `size` bytes to each of its files, in pieces, from `start` on."""

    def __init__(self, size: int, start: int = 0, wait: float = 0.0) -> None:
        self.size, self.start, self.wait = size, start, wait

    def inspect(self, image):
        for scratch in self.scratch:
            for at in range(self.start, self.start + self.size, 1 << 20):
                os.pwrite(scratch.fileno(), b"x" * min(1 << 20, self.start + self.size - at), at)
        time.sleep(self.wait)
        return {"size": self.scratch[0].size, "files": len(self.scratch)}


class Reverses(Transform):
    """Needs all of the image before it can say its first byte."""

    def transform(self, image):
        first, second = self.scratch
        for chunk in image:
            first.file.write(chunk)
        size = first.file.tell()
        subprocess.run(
            ["cp", "--sparse=always", first.path, second.path],
            pass_fds=[*map(int, (first.fileno(), second.fileno()))],
            check=True,
        )
        for at in range(size, 0, -4096):
            start = max(0, at - 4096)
            second.file.seek(start)
            yield second.file.read(at - start)[::-1]


class Waits(Inspector):
    """Works for `seconds` without reading, writing or logging."""

    def __init__(self, seconds: float, tells: bool) -> None:
        self.seconds, self.tells = seconds, tells

    def inspect(self, image):
        image.read(1)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            time.sleep(0.05)
            if self.tells:
                self.alive()


class BecomesLate(Transform):
    """Reads all of the image, and only then says what it makes of it."""

    def transform(self, image):
        for _ in image:
            pass
        image.becomes(disk_format="raw")
        yield bytes(4096)


class UnchangedLate(Transform):
    def transform(self, image):
        for _ in image:
            pass
        image._transforms._unchanged = False
        image._transforms._channel.send(9)


class Declared(Inspector):
    """What it was told of the image."""

    reads = "nothing"

    def inspect(self, image):
        return {"disk_format": image.disk_format or "none"}
