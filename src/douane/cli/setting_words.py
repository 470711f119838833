"""What a plugin's documentation says of each of its settings, as far as it can be found."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MOST = 1000
"""Characters of one setting's words."""


def setting_words(doc: str, names: Sequence[str]) -> dict[str, str]:
    """The words for each of `names` in `doc`, in one line; a name of which nothing is said is not in it.

    Understood are Douane's own form (````name```` (type): words, or the words below, indented), Sphinx's
    (``:param name: words``), Google's (``name (type): words``) and numpy's (``name : type``, the words below).
    """
    lines = doc.expandtabs().splitlines()
    found: dict[str, str] = {}
    for at, line in enumerate(lines):
        below = _below(lines, at)
        for name in names:
            words = _words(line, name, below)
            if words and name not in found:
                found[name] = words[:_MOST]
    return found


def _below(lines: list[str], at: int) -> str:
    """The lines after line `at` that are indented more than it, up to the first that is not, or is empty."""
    indent = _indent(lines[at])
    words = []
    for line in lines[at + 1 :]:
        if not line.strip() or _indent(line) <= indent:
            break
        words.append(line.strip())
    return " ".join(words)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _words(line: str, name: str, below: str) -> str:
    text = line.strip().removeprefix("- ").removeprefix("* ")
    quoted = f"``{name}``"
    if text.startswith("``") and quoted in text and below and _is_heading(text):
        return below
    for begun in (f":param {name}:", f":parameter {name}:"):
        if text.startswith(begun):
            return _joined(text[len(begun) :], below)
    if typed := re.match(rf":param [^:]*\b{re.escape(name)}:", text):
        return _joined(text[typed.end() :], below)
    for spelled in (quoted, f"`{name}`", f"*{name}*", name):
        if text.startswith(spelled):
            return _after(text[len(spelled) :], below)
    return ""


def _is_heading(text: str) -> bool:
    """True for names with their types, and no words behind."""
    return re.fullmatch(r"(``\w+``( \(.*?\))?(, | and |$))+", text) is not None


def _after(rest: str, below: str) -> str:
    """The words behind a name: after its type in parentheses, and a colon."""
    if rest.startswith(" : ") or rest == " :":
        return below  # numpy's: what follows is the type
    rest = rest.lstrip()
    if rest.startswith("("):
        rest = rest[_closing(rest) + 1 :].lstrip()
    if rest.startswith(":"):
        return _joined(rest[1:], below)
    return ""


def _closing(text: str) -> int:
    """Where the parenthesis that `text` begins with is closed; its end, if it is not."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return at
    return len(text)


def _joined(words: str, below: str) -> str:
    return f"{words.strip()} {below}".strip()
