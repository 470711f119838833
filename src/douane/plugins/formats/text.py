"""Text: no disk at all, but nothing that a tool would take for more than a raw one."""

from .raw_content import Content, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f") + b"\x7f"
"""What text does not contain: file(1)'s rule, but for escapes and a few that old printers knew."""

SHORTEST = 4


class Text(Content):
    """``text``: printable ASCII or UTF-8 for the whole of the first 72 KiB."""

    name = "text"
    about = "text"

    def begins(self, head: bytes) -> bool:
        if len(head) < SHORTEST or head.translate(None, CONTROLS) != head:
            return False
        for cut in range(4):  # a character may be cut at the end of the head
            try:
                head[: len(head) - cut].decode("utf-8")
            except UnicodeDecodeError:
                continue
            return True
        return False

    def read(self, match: "Match") -> "Reader":
        yield from whole(match)
