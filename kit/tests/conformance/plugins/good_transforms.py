"""Transforms in which nothing is wrong."""

import itertools
import zlib

from douane_plugin import Incomplete, Transform


class Gunzip(Transform):
    """As in the contract."""

    def transform(self, image):
        head = image.read(2)
        if head != b"\x1f\x8b":
            image.unchanged()
            return
        image.becomes(container_format="bare", properties={"was_compressed": True})
        unpacker = zlib.decompressobj(wbits=31)
        try:
            for data in itertools.chain([head], image):
                while data:
                    yield unpacker.decompress(data, 1 << 20)
                    data = unpacker.unconsumed_tail
            yield unpacker.flush()
        except zlib.error:
            raise Incomplete("gzip-broken", "the compressed image is damaged; upload it again") from None
        if not unpacker.eof or unpacker.unused_data:
            raise Incomplete("gzip-broken", "the compressed image is cut short, or something follows it")


class StripTrailer(Transform):
    """Eight bytes at the end, if they are the trailer."""

    TRAILER = b"TRAILER!"

    def transform(self, image):
        carry = b""
        for chunk in image:
            data = carry + bytes(chunk)
            if len(data) > 8:
                yield data[:-8]
            carry = data[-8:]
        if carry != self.TRAILER:
            yield carry


class Identity(Transform):
    """The chunks, as they are."""

    def transform(self, image):
        yield from image


class NeverTouches(Transform):
    """Nothing to do."""

    def transform(self, image):
        image.unchanged()
        return
        yield b""


class Pads(Transform):
    """Fills the last sector."""

    def transform(self, image):
        yield from image
        if image.offset % 512:
            yield bytes(512 - image.offset % 512)


class DropsHeader(Transform):
    """Takes a header of 512 bytes away where there is one."""

    def transform(self, image):
        head = image.read(512)
        if not head.startswith(b"WRAPPED1"):
            image.unchanged()
            return
        if len(head) < 512:
            raise Incomplete("cut-off", "the image ends inside its header; upload it again")
        image.becomes(disk_format="raw")
        yield from image


class Swaps(Transform):
    """Swaps the bytes of each pair."""

    def transform(self, image):
        for window in image.windows(65536):
            data = bytearray(window)
            even = len(data) & ~1
            data[0:even:2], data[1:even:2] = data[1:even:2], data[0:even:2]
            yield data
