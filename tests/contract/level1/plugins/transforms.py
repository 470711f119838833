from douane_plugin import Reject, Transform


class Invert(Transform):
    """Each byte becomes its complement; an image that begins with KEEP is left as it is."""

    def __init__(self, most: int = 1 << 30):
        self.most = most

    def transform(self, image):
        head = image.read(4)
        if head == b"KEEP":
            image.unchanged()
            return
        image.becomes(disk_format="raw", properties={"inverted": True})
        table = bytes(255 - value for value in range(256))
        yield b""
        yield head.translate(table)
        for chunk in image:
            yield bytearray(bytes(chunk).translate(table))
            if image.offset > self.most:
                raise Reject("too-long", "the image is longer than is allowed")
        self.warn("inverted", "the image was inverted")
        image.becomes(container_format="bare", properties={"bytes": image.offset})


class Same(Transform):
    """Yields the chunks themselves."""

    def transform(self, image):
        yield from image


class Tail(Transform):
    """The last eight bytes, found at random."""

    reads = "random"

    def transform(self, image):
        image.file.seek(-8, 2)
        yield memoryview(image.file.read())


class Nothing(Transform):
    """An empty image."""

    def transform(self, image):
        for chunk in image:
            del chunk
        return
        yield b""


class Listed(Transform):
    """Not a generator: a failure."""

    def transform(self, image):
        return [b"bytes"]
