import zlib

from douane_plugin import Inspector


class Chunks(Inspector):
    """Reads by iteration and by `read`, in turn."""

    def inspect(self, image):
        head = image.read(5)
        assert type(head) is bytes
        check, seen, last = zlib.crc32(head), len(head), None
        for chunk in image:
            assert isinstance(chunk, memoryview) and chunk.readonly and len(chunk)
            if last is not None:
                try:
                    last[0]
                except ValueError:
                    pass
                else:
                    raise RuntimeError("a chunk of before can still be read")
            check, seen, last = zlib.crc32(chunk, check), seen + len(chunk), chunk
            assert image.offset == seen
            self.alive()
        assert image.read(10) == b"" and image.read(0) == b""
        return {"crc32": check, "bytes": seen, "ratio": 0.5, "whole": True, "text": "é"}


class KeepsViews(Inspector):
    """Keeps a slice of every chunk: BufferError."""

    def inspect(self, image):
        kept = []
        try:
            for chunk in image:
                kept.append(chunk[1:])
        except BufferError:
            return {"stopped": True}
        return {"stopped": False}
