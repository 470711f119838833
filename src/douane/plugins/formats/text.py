"""Text: no disk, but ``raw`` to every tool."""

from .raw_content import Content

CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f") + b"\x7f"
"""Bytes that text does not contain: the rule of file(1), except for escapes and characters of old printers."""

MIN_BYTES = 4


class Text(Content):
    """Printable ASCII or UTF-8 in all of the first 72 KiB."""

    name = "text"
    about = "text"

    def begins(self, head: bytes) -> bool:
        if len(head) < MIN_BYTES or head.translate(None, CONTROLS) != head:
            return False
        for cut in range(4):  # a character may be cut at the end of the head
            try:
                head[: len(head) - cut].decode("utf-8")
            except UnicodeDecodeError:
                continue
            return True
        return False
