"""Plugins that get slow, or large."""

import hashlib
import mmap
import re

from douane_plugin import Inspector, Reject


class CollectsAll(Inspector):
    """The whole image in a list."""

    def inspect(self, image):
        data = b"".join(bytes(chunk) for chunk in image)
        return {"digest": hashlib.sha256(data).hexdigest()}


class AddsUp(Inspector):
    """buf += chunk."""

    def inspect(self, image):
        data = b""
        for chunk in image:
            data += bytes(chunk)
        return {"zeros": data.count(b"\0") > 1000}


class ReadsFile(Inspector):
    """file.read() of everything."""

    reads = "random"

    def inspect(self, image):
        return {"digest": hashlib.md5(image.file.read()).hexdigest()}


class KeepsDigests(Inspector):
    """A digest of each block, in a set."""

    def inspect(self, image):
        blocks = set()
        for window in image.windows(4096):
            blocks.add(hashlib.sha256(window).hexdigest())
        return {"different": len(blocks)}


class SearchesAgain(Inspector):
    """Searches all that has come, again and again."""

    def inspect(self, image):
        data = bytearray()
        for chunk in image:
            data += chunk
            if data.find(b"forbidden-thing") >= 0:
                raise Reject("forbidden", "the image holds a thing that is forbidden")


class BlockList(Inspector):
    """Is this block in the list of blocks?"""

    def inspect(self, image):
        digests = []
        for window in image.windows(512):
            digest = hashlib.md5(window).digest()
            if digest not in digests:
                digests.append(digest)
        return {"blocks": len(digests)}


class RereadsFile(Inspector):
    """For each block it reads all before it."""

    reads = "random"

    def inspect(self, image):
        size = image.file.seek(0, 2)
        best = 0
        for end in range(65536, size, 65536):
            image.file.seek(0)
            crc = 0
            rest = end
            while rest > 0:
                part = image.file.read(min(65536, rest))
                crc ^= part.count(0)
                rest -= len(part)
            best = max(best, crc & 0xFF)
        return {"best": best}


class Catastrophe(Inspector):
    """A regular expression that tries everything."""

    PATTERN = re.compile(rb"(a+)+\$")

    def inspect(self, image):
        for window in image.windows(1 << 20, overlap=4096):
            if self.PATTERN.search(window):
                raise Reject("pattern", "the image holds a pattern that is not allowed")


class SpacesAtEnd(Inspector):
    """Quadratic on spaces."""

    def inspect(self, image):
        for window in image.windows(1 << 20, overlap=4096):
            if re.search(rb"\s+SECRET", window):
                raise Reject("secret", "the image holds a secret word after spaces")


class AllMatches(Inspector):
    """All places, to count them at the end."""

    def inspect(self, image):
        places = []
        base = 0
        for window in image.windows(65536):
            places += [base + match.start() for match in re.finditer(rb"MARK", window)]
            base += 65536
        return {"marks": len(places)}


class MapsChunks(Inspector):
    """All chunks in anonymous mappings, which Python's own account of memory does not show."""

    def inspect(self, image):
        mappings = []
        for chunk in image:
            mappings.append(mmap.mmap(-1, len(chunk), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            mappings[-1].write(bytes(chunk))
        return {"chunks": bool(mappings)}


class ChangesMappedFile(Inspector):
    """A private mapping of the image, of which each page is written and thereby copied."""

    reads = "random"

    def inspect(self, image):
        if not image.size:
            return
        mapping = mmap.mmap(image.file.fileno(), 0, access=mmap.ACCESS_COPY)
        for offset in range(0, len(mapping), mmap.PAGESIZE):
            mapping[offset] = 0
