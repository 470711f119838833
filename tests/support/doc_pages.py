"""Markdown, as far as the checks of the documents need it: fenced blocks, tables, code spans, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PAGES = sorted([TOP / "README.md", TOP / "sdk" / "README.md", TOP / "CONTRIBUTING.md", *TOP.glob("docs/*.md")])

_FENCE = re.compile(r"\s*```(\w*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SAVE = re.compile(r"[Ss]ave (?:this|it) as `([^`]+)`")
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `file` is the name that the sentence before it says to save it under."""

    language: str
    text: str
    file: str | None
    heading: str


def page(name: str) -> str:
    """The text of a page, named from the top of the repository."""
    return (TOP / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """All fenced blocks, in order."""
    fenced: list[Block] = []
    language: str | None = None
    lines: list[str] = []
    sentence = heading = ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if language is not None and line.strip() == "```":
            saved = _SAVE.search(sentence)
            fenced.append(Block(language, "\n".join(lines) + "\n", saved[1] if saved else None, heading))
            language, sentence = None, ""
        elif language is not None:
            lines.append(line)
        elif fence:
            language, lines = fence[1], []
        elif line.startswith("#"):
            heading = line.strip("# ")
        elif line.strip():
            sentence = line
    return fenced


def prose(text: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^\s*```.*?^\s*```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """What stands under `heading`, up to the next heading of the same or a higher level."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert match is not None, f"there is no heading {heading!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a page, each without its head, as rows of cells."""
    complete: list[list[list[str]]] = []
    rows: list[list[str]] = []
    for line in [*prose(text).splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            complete.append(rows[2:])
            rows = []
    return complete


def spans(text: str) -> list[str]:
    """All code spans."""
    return _SPAN.findall(prose(text))


def links(text: str) -> list[str]:
    """The targets of all links that stay in the repository."""
    return [link for link in _LINK.findall(prose(text)) if not re.match(r"[a-z]+:", link)]
