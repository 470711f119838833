"""Plugins that are late, and one that reads at random."""

import time

from douane_plugin import Inspector


class Late(Inspector):
    """Not ready before `seconds` have passed."""

    def __init__(self, seconds: float = 20.0):
        time.sleep(seconds)

    def inspect(self, image):
        return {"seen": sum(len(chunk) for chunk in image)}


class LateRandom(Late):
    reads = "random"

    def inspect(self, image):
        return {"seen": len(image.file.read())}


class Slow(Inspector):
    """Has work for `seconds` before it reads."""

    def __init__(self, seconds: float = 4.0):
        self.seconds = seconds

    def inspect(self, image):
        time.sleep(self.seconds)
        for _ in image:
            pass


class AtRandom(Inspector):
    reads = "random"

    def inspect(self, image):
        return {"seen": len(image.file.read())}


class Talks(Inspector):
    def inspect(self, image):
        for chunk in image:
            for number in range(3000):
                self.log.warning("line %d of %d bytes", number, len(chunk))
