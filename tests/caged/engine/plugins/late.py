"""Plugins that are late, and one that reads at random."""

import time

from douane_plugin import Inspector


class Late(Inspector):
    """Not ready before `seconds` have passed; logs a line when it has the image."""

    def __init__(self, seconds: float = 3600.0):
        time.sleep(seconds)

    def inspect(self, image):
        self.log.info("ready")
        return {"seen": sum(len(chunk) for chunk in image)}


class LateRandom(Late):
    reads = "random"

    def inspect(self, image):
        self.log.info("ready")
        return {"seen": len(image.file.read())}


class Reads(Inspector):
    def inspect(self, image):
        for _ in image:
            pass


class Gated(Inspector):
    """Reads once the peer of its grant `gate` lets it."""

    def inspect(self, image):
        self.grant("gate").recv(1)
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
