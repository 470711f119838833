import os

from douane_plugin import Inspector, Scratch


class Writes(Inspector):
    """Both scratch files, by each of their members."""

    def inspect(self, image):
        one, other = self.scratch
        assert self.scratch[0] is one and isinstance(one, Scratch) and one.size == other.size
        for chunk in image:
            one.file.write(chunk)
        os.pwrite(other.fileno(), b"end", 1000)
        other.file.write(b"begin")
        with open(other.path, "rb") as again:
            whole = again.read()
        one.file.seek(0)
        return {"size": one.size, "one": len(one.file.read()), "other": len(whole), "text": whole[:5].decode()}
