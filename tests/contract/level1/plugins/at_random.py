import os

from douane_plugin import Inspector


class AtRandom(Inspector):
    reads = "random"

    def inspect(self, image):
        size = image.file.seek(0, os.SEEK_END)
        image.file.seek(max(0, size - 4))
        tail = image.file.read()
        with open(image.path, "rb") as again:
            head = again.read(4)
        rest = image.read(2) + b"".join(bytes(chunk) for chunk in image)
        assert len(rest) == size == image.size == image.offset and rest.endswith(tail)
        return {"head": head.hex(), "tail": tail.hex(), "format": image.disk_format or ""}
