"""Transforms that are wrong."""

import zlib

from douane_plugin import Incomplete, Transform


class StripPerChunk(Transform):
    """Takes a trailer from each chunk instead of from the image."""

    def transform(self, image):
        for chunk in image:
            data = bytes(chunk)
            if data.endswith(b"TRAILER!"):
                data = data[:-8]
            yield data


class LateUnchanged(Transform):
    """Yields the head, then finds that there is nothing to do."""

    def transform(self, image):
        head = image.read(512)
        yield head
        if not head.startswith(b"WRAP"):
            image.unchanged()
            return
        yield from image


class ReadsAllThenUnchanged(Transform):
    """Looks at all of it before it says that there is nothing to do."""

    def transform(self, image):
        match = False
        for window in image.windows(1 << 20, overlap=7):
            match = match or b"\0WRAPPED" in bytes(window)
        if not match:
            image.unchanged()
            return
        raise Incomplete("wrapped", "a wrapped image cannot be taken apart here yet")
        yield b""


class GoesOnAfterUnchanged(Transform):
    """Forgets to return."""

    def transform(self, image):
        head = image.read(4)
        if head != b"WRAP":
            image.unchanged()
        yield head
        yield from image


class LosesTail(Transform):
    """Whole blocks only."""

    def transform(self, image):
        rest = b""
        for chunk in image:
            rest += bytes(chunk)
            while len(rest) >= 4096:
                yield rest[:4096]
                rest = rest[4096:]


class QuietGunzip(Transform):
    """Unpacks, and does not look whether the end was there."""

    def transform(self, image):
        head = image.read(2)
        if head != b"\x1f\x8b":
            image.unchanged()
            return
        unpacker = zlib.decompressobj(wbits=31)
        yield unpacker.decompress(head)
        for chunk in image:
            yield unpacker.decompress(chunk)
        yield unpacker.flush()


class NeverEnds(Transform):
    """Pads without end."""

    def transform(self, image):
        yield from image
        if image.offset % 512:
            while True:
                yield bytes(1 << 20)


class KeepsYielded(Transform):
    """Holds back chunks until it knows more."""

    def transform(self, image):
        carry = []
        for chunk in image:
            carry.append(chunk)
            if len(carry) == 4:
                yield from carry
                carry.clear()
        yield from carry


class GunzipAtOnce(Transform):
    """All in memory, in and out."""

    def transform(self, image):
        head = image.read(2)
        if head != b"\x1f\x8b":
            image.unchanged()
            return
        packed = head + b"".join(bytes(chunk) for chunk in image)
        unpacker = zlib.decompressobj(wbits=31)
        try:
            yield unpacker.decompress(packed)
        except zlib.error as error:
            raise Incomplete("gzip-broken", "the compressed image is damaged; upload it again") from error
        if not unpacker.eof:
            raise Incomplete("gzip-broken", "the compressed image is cut short; upload it again")


class YieldsTexts(Transform):
    """Yields a str."""

    def transform(self, image):
        for chunk in image:
            yield chunk.hex()
