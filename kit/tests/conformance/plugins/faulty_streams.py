"""Plugins that are wrong about chunks, as authors are."""

import hashlib
import re

import numpy as np

from douane_plugin import Inspector, Reject


class ChunkSearch(Inspector):
    """Searches each chunk alone."""

    def inspect(self, image):
        for chunk in image:
            if b"EVIL-MARK" in bytes(chunk):
                raise Reject("evil", "the image holds the mark of the evil one")


class ShortCarry(Inspector):
    """Carries one byte less than it must."""

    def __init__(self, text: str = "password=hunter2"):
        self.needle = text.encode()

    def inspect(self, image):
        rest = b""
        for chunk in image:
            data = rest + bytes(chunk)
            if self.needle in data:
                raise Reject("password", "the image holds a password that is known")
            rest = data[-(len(self.needle) - 2) :]


class ShortestCarry(Inspector):
    """Two signatures, and the carry is as long as the shorter one needs."""

    SIGNATURES = (b"AB\x01\x02", b"LONG-SIGNATURE-OF-A-ROOTKIT")

    def inspect(self, image):
        carry = min(map(len, self.SIGNATURES)) - 1
        rest = b""
        for chunk in image:
            data = rest + bytes(chunk)
            for signature in self.SIGNATURES:
                if signature in data:
                    raise Reject("signature", "the image holds a signature that is not allowed")
            rest = data[-carry:]


class PositionByChunks(Inspector):
    """Takes the length of the chunk for where it is."""

    def inspect(self, image):
        position = 0
        matches = -1
        for chunk in image:
            at = bytes(chunk).find(b"\x7fELF")
            if at >= 0 and matches < 0:
                matches = position + at
            position = len(chunk)
        return {"elf_at": matches}


class CountsChunks(Inspector):
    """A property that counts chunks."""

    def inspect(self, image):
        count = 0
        for _ in image:
            count += 1
        return {"pieces": count}


class HeadIsFirstChunk(Inspector):
    """Takes the first chunk for the head of the image."""

    def inspect(self, image):
        for chunk in image:
            if bytes(chunk[:4]) != b"QFI\xfb":
                raise Reject("not-qcow2", "only images in the format qcow2 are taken here")
            return {"version": chunk[7] if len(chunk) > 7 else 0}
        raise Reject("not-qcow2", "only images in the format qcow2 are taken here")


class WarnsEachChunk(Inspector):
    """One warning for each chunk that is all zeros."""

    def inspect(self, image):
        for chunk in image:
            if not any(chunk[:4096]):
                self.warn("zeros", "there is a part of the image that is all zeros")


class KeepsViews(Inspector):
    """Stores chunks, and joins them at the end."""

    def inspect(self, image):
        parts = []
        for chunk in image:
            parts.append(chunk)
            if len(parts) > 8:
                parts.pop(0)
        tail = b"".join(parts)
        return {"tail": hashlib.sha256(tail[-16:]).hexdigest()}


class KeepsSlices(Inspector):
    """Keeps slices: the first 16 bytes of each chunk."""

    def __init__(self):
        self.heads = []

    def inspect(self, image):
        for chunk in image:
            self.heads.append(chunk[:16])
            del self.heads[:-4]
        return {"heads": len(self.heads)}


class KeepsArrays(Inspector):
    """Numpy arrays over chunks, kept in a dict."""

    def inspect(self, image):
        largest = {}
        for chunk in image:
            array = np.frombuffer(chunk, dtype=np.uint8)
            top = int(array.max())
            if top not in largest:
                largest[top] = array
        return {"tops": len(largest)}


class HidesBufferError(Inspector):
    """Keeps views, and swallows what comes of it."""

    def inspect(self, image):
        tail = []
        try:
            for chunk in image:
                tail.append(chunk[:8])
        except BufferError:
            return {"partial": True}
        return {"partial": False}


class WindowsWithoutOverlap(Inspector):
    """Windows are right, the overlap is not."""

    def inspect(self, image):
        for window in image.windows(65536):
            if b"BEGIN RSA PRIVATE KEY" in bytes(window):
                raise Reject("private-key", "the image holds a private key; remove it")


class LineByLine(Inspector):
    """Splits chunks into lines; the one that is cut in two is lost."""

    def inspect(self, image):
        for chunk in image:
            for line in bytes(chunk).split(b"\n"):
                if re.fullmatch(rb"root::0:0:.*", line):
                    raise Reject("empty-password", "root has an empty password in this image")


class OffByOneAtEnd(Inspector):
    """Looks at pairs of bytes within a chunk, not across two."""

    def inspect(self, image):
        for chunk in image:
            for at in range(len(chunk) - 1):
                if chunk[at] == 0x0F and chunk[at + 1] == 0x0B:
                    raise Reject("ud2", "the image holds an instruction that is not allowed")


class LastByte(Inspector):
    """The last two bytes, from the last chunk."""

    def inspect(self, image):
        last = b""
        for chunk in image:
            last = bytes(chunk[-2:])
        if last != b"\x55\xaa":
            raise Reject("no-end", "the image does not end with its end mark")


class PatternInChunks(Inspector):
    """A regular expression, in each chunk alone."""

    def inspect(self, image):
        for chunk in image:
            if re.search(rb"AKIA[0-9A-Z]{16}", chunk):
                raise Reject("aws-key", "the image holds an access key; remove it and make another")


class PatternWithoutOverlap(Inspector):
    """The windows overlap by less than the pattern is long."""

    KEY = re.compile(rb"ghp_[0-9A-Za-z]{36}")

    def inspect(self, image):
        for window in image.windows(1 << 16, overlap=4):
            if self.KEY.search(window):
                raise Reject("token", "the image holds an access token; remove it and make another")
