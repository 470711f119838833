"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "forbidden-text"
    use = "plugins/forbidden_text.py:ForbiddenText"
    config = { texts = ["-----BEGIN OPENSSH PRIVATE KEY-----"] }

Shows ``windows``: a text may begin in one chunk and end in the next. If windows overlap by the length of the longest
text less one, every text lies in at least one of them as a whole.
"""

from __future__ import annotations

from douane_plugin import Image, Inspector, Reject

WINDOW = 1 << 20


class ForbiddenText(Inspector):
    """Refuse an image that holds one of certain texts, at any offset.

    The plugin reads the bytes of the file and finds nothing in a compressed image: put it behind `decompress` and
    `convert`.
    """

    def __init__(self, texts: tuple[str, ...] = ("-----BEGIN OPENSSH PRIVATE KEY-----",), encoding: str = "utf-8"):
        try:
            self.needles = {text: text.encode(encoding) for text in texts}
        except LookupError as error:
            raise ValueError(f"encoding: {error}") from None
        if not self.needles or not all(self.needles.values()):
            raise ValueError("texts: at least one text, and no empty one")
        self.longest = max(map(len, self.needles.values()))
        if self.longest > WINDOW // 2:
            raise ValueError(f"texts: a text has {self.longest} bytes; at most {WINDOW // 2} are allowed")

    def inspect(self, image: Image) -> None:
        overlap = self.longest - 1
        for number, window in enumerate(image.windows(WINDOW, overlap)):
            data = bytes(window)  # a view has no `find`
            for text, needle in self.needles.items():
                at = data.find(needle)
                if at >= 0:
                    self.log.info("found %r at offset %d", text, number * (WINDOW - overlap) + at)
                    raise Reject(
                        "forbidden-text",
                        f"the image holds {text!r}, which this site does not allow; remove the file that holds it,"
                        " overwrite the free space of the disk, and upload the image again",
                    )
