"""Plugins of which hundreds of instances fill one process, and one does not."""

import mmap

from typing import ClassVar

from douane_plugin import Inspector, Reject


class Cycles(Inspector):
    """60 MiB in a cycle, which the collector finds by the number of objects only."""

    reads = "head:512"

    def __init__(self):
        self.table = bytearray(b"\1") * (60 << 20)
        self.instance = self

    def inspect(self, image):
        if image.read(4) == b"MARK":
            raise Reject("marked", "the image has the mark of a withdrawn image")
        return {"table": len(self.table)}


class OpenFiles(Inspector):
    """A library that keeps a file open for each of its objects."""

    reads = "head:512"
    handles: ClassVar = []

    def inspect(self, image):
        self.handles.append(open("/dev/null", "rb"))
        if image.read(4) == b"MARK":
            raise Reject("marked", "the image has the mark of a withdrawn image")


class MapsFile(Inspector):
    """Pages of the image in the page cache are not memory of the plugin."""

    reads = "random"

    def inspect(self, image):
        if image.size < 4096:
            return {"marked": False}
        with mmap.mmap(image.file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
            if mapping.find(b"WITHDRAWN") >= 0:
                raise Reject("marked", "the image has the mark of a withdrawn image")
        return {"marked": False}
