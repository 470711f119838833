"""Patterns for paths: `*` and `?` within a name, `**` over folders."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|.", re.DOTALL)
MEANING = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def compile_paths(patterns: Iterable[str]) -> re.Pattern[str]:
    """One expression whose `fullmatch` says whether one of the patterns matches a path."""
    return re.compile("|".join(_expression(pattern) for pattern in patterns) or r"(?!)", re.DOTALL)


def any_of(expressions: Iterable[re.Pattern[str]]) -> re.Pattern[str]:
    """One expression for several."""
    return re.compile("|".join(f"(?:{expression.pattern})" for expression in expressions) or r"(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    return "".join(MEANING.get(token) or re.escape(token) for token in TOKEN.findall(pattern))
