"""Print the text of a page's main part, a row of a table a line: what somebody without a browser reads of `/ui`."""

from __future__ import annotations

import sys
from html.parser import HTMLParser

import httpx

LEFT_OUT = ("form", "script")


class Text(HTMLParser):
    """Collects the lines of the element `main`, without forms."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._words: list[str] = []
        self._depth = 0
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Follow where in the page the text is."""
        self._depth += tag == "main"
        self._skipped += tag in LEFT_OUT
        if tag in ("td", "th") and self._words:
            self._words.append("|")

    def handle_endtag(self, tag: str) -> None:
        """End the line with its block."""
        if tag in ("tr", "p", "h1", "caption", "main"):
            if self._words:
                self.lines.append(" ".join(self._words))
            self._words = []
        self._depth -= tag == "main"
        self._skipped -= tag in LEFT_OUT

    def handle_data(self, data: str) -> None:
        """Take the words."""
        if self._depth and not self._skipped:
            self._words += data.split()


def main() -> None:
    """Print the page at the URL."""
    text = Text()
    text.feed(httpx.get(sys.argv[1]).raise_for_status().text)
    print("\n".join(f"    {line}" for line in text.lines))


if __name__ == "__main__":
    main()
