"""The inspector `toy`: accepts images that begin with a word."""

from __future__ import annotations

from douane_plugin import Inspector, Reject


class Toy(Inspector):
    """Accept an image that begins with `word`."""

    api = 1
    reads = "head:16"

    def __init__(self, *, word: str = "hello") -> None:
        self.word = word.encode()

    def inspect(self, image):
        if image.read(len(self.word)) != self.word:
            raise Reject("no-word", "the image does not begin with the word")
        return {"length": len(self.word)}
