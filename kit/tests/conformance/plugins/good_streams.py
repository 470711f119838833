"""Plugins in which nothing is wrong, that read the image as it comes."""

import hashlib
import re
import time
import zlib

import numpy as np

from douane_plugin import Incomplete, Inspector, Reject


class Windows(Inspector):
    """A text across chunks, by windows."""

    def __init__(self, text: str = "EVIL-MARK"):
        self.needle = text.encode()

    def inspect(self, image):
        for window in image.windows(1 << 20, overlap=len(self.needle) - 1):
            if self.needle in bytes(window):
                raise Reject("evil", "the image holds the mark of the evil one")
        self.log.info("looked at %d bytes", image.offset)
        return {"searched": True}


class Carry(Inspector):
    """A carry of the right length, and the place where it was found."""

    SIGNATURES = (b"AB\x01\x02", b"LONG-SIGNATURE-OF-A-ROOTKIT")

    def inspect(self, image):
        carry = max(map(len, self.SIGNATURES)) - 1
        rest, offset = b"", 0
        first = None
        for chunk in image:
            data = rest + bytes(chunk)
            start = offset - len(rest)
            for signature in self.SIGNATURES:
                at = data.find(signature)
                if at >= 0 and (first is None or start + at < first):
                    first = start + at
            offset += len(chunk)
            rest = data[-carry:]
        return {} if first is None else {"signature_at": first}


class Digest(Inspector):
    """A digest of everything."""

    def inspect(self, image):
        total = hashlib.sha256()
        for chunk in image:
            total.update(chunk)
        return {"sha256": total.hexdigest(), "bytes": image.offset}


class Entropy(Inspector):
    """Numpy over each chunk, counts are kept."""

    def inspect(self, image):
        counts = np.zeros(256, dtype=np.int64)
        for chunk in image:
            counts += np.bincount(np.frombuffer(chunk, dtype=np.uint8), minlength=256)
        total = int(counts.sum())
        if not total:
            return {"entropy": 0.0}
        shares = counts[counts > 0] / total
        return {"entropy": float(round(-(shares * np.log2(shares)).sum(), 3))}


class SlowLines(Inspector):
    """Byte by byte in Python: slow, and not slower for a larger image."""

    def inspect(self, image):
        lines = longest = length = 0
        for chunk in image:
            for byte in chunk:
                length += 1
                if byte == 10:
                    lines += 1
                    longest = max(longest, length)
                    length = 0
        return {"lines": lines, "longest": max(longest, length)}


class BoundedBuffer(Inspector):
    """Collects up to 32 MiB, looks at it, and begins anew."""

    BOUND = 32 << 20

    def inspect(self, image):
        buffer = bytearray()
        count = 0
        for chunk in image:
            buffer += chunk
            while len(buffer) >= self.BOUND:
                count += buffer.count(b"\xde\xad\xbe\xef", 0, self.BOUND)
                del buffer[: self.BOUND - 3]
        count += buffer.count(b"\xde\xad\xbe\xef")
        return {"marked": count > 0}


class Pattern(Inspector):
    """A regular expression that cannot run away, on windows."""

    PATTERN = re.compile(rb"AKIA[0-9A-Z]{16}")

    def inspect(self, image):
        for window in image.windows(1 << 18, overlap=19):
            if self.PATTERN.search(window):
                raise Reject("aws-key", "the image holds an access key; remove it and make another")


class WarnOnly(Inspector):
    """Warns once."""

    def inspect(self, image):
        for window in image.windows(1 << 16, overlap=31):
            if b"-----BEGIN RSA PRIVATE KEY-----" in bytes(window):
                self.warn("private-key", "there is a private key in the image; is that meant to be?")
                return


class LastSector(Inspector):
    """What stands at the end, whatever the chunks are."""

    def inspect(self, image):
        tail = b""
        for chunk in image:
            tail = bytes(chunk[-512:]) if len(chunk) >= 512 else (tail + bytes(chunk))[-512:]
        return {"vhd_footer": tail.startswith(b"conectix")}


class LongestZeros(Inspector):
    """The longest run of zeros, by chunks that are carried over rightly."""

    def inspect(self, image):
        longest = run = 0
        for chunk in image:
            data = bytes(chunk)
            stripped = data.lstrip(b"\0")
            if not stripped:
                run += len(data)
                continue
            longest = max(longest, run + len(data) - len(stripped))
            for part in re.finditer(rb"\0+", stripped):
                longest = max(longest, len(part.group()))
            run = len(stripped) - len(stripped.rstrip(b"\0"))
        return {"longest_zeros": max(longest, run)}


class GzipWhole(Inspector):
    """Looks into a gzip file, and says so if its end is not there."""

    def inspect(self, image):
        head = image.read(2)
        if head != b"\x1f\x8b":
            return None
        unpacker = zlib.decompressobj(wbits=31)
        size = 0
        data = head
        while data:
            try:
                while data and not unpacker.eof:
                    size += len(unpacker.decompress(data, 1 << 20))
                    data = unpacker.unconsumed_tail
            except zlib.error:
                raise Incomplete("gzip-damaged", "the compressed image is damaged; upload it again") from None
            data = image.read(1 << 16)
        if not unpacker.eof:
            raise Incomplete("gzip-cut-off", "the compressed image is cut short; upload it again")
        return {"unpacked": size}


class SlicesForOneMore(Inspector):
    """Holds a slice for one chunk more, which is tolerated."""

    def inspect(self, image):
        previous = None
        borders = 0
        for chunk in image:
            part = chunk[-1:]
            if previous is not None:
                borders += 1
            previous = part
        return {"empty": previous is None}


class CountsBounded(Inspector):
    """The first ten places of a mark; no more are kept."""

    def inspect(self, image):
        places = []
        base = image.offset
        for window in image.windows(65536, overlap=3):
            at = bytes(window).find(b"MARK")
            while at >= 0 and len(places) < 10:
                if base + at not in places:
                    places.append(base + at)
                at = bytes(window).find(b"MARK", at + 1)
            base += 65533
            if len(places) >= 10:
                break
        return {"marks": ",".join(map(str, places))}


class ManyWarnings(Inspector):
    """One warning for each sort of thing, each at most once."""

    WORDS = (b"password", b"secret", b"token", b"credential")

    def inspect(self, image):
        missing = set(self.WORDS)
        for window in image.windows(1 << 20, overlap=max(map(len, self.WORDS)) - 1):
            data = bytes(window)
            missing = {word for word in missing if word not in data}
        for word in self.WORDS:
            if word not in missing:
                self.warn(f"word-{word.decode()}", f"the image holds the word {word.decode()}; is it a secret?")


class MonotonicClock(Inspector):
    """Gives up after a time, and says so."""

    def __init__(self, seconds: float = 300.0):
        self.seconds = seconds

    def inspect(self, image):
        end = time.monotonic() + self.seconds
        bits = 0
        for chunk in image:
            bits |= chunk[0]
            if time.monotonic() > end:
                raise Incomplete("too-slow", "the image could not be looked at in time; try again later")
        return {"bytes": image.offset}
