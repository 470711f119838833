"""The text in which LVM describes a volume group: `name = value`, `name { ... }`, lists in brackets, and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch

Value = int | str | list["int | str"]
Section = dict[str, "Value | Section"]

MAX_DEPTH = 8
MAX_VALUES = 200_000
"""Sections and values of a text, which are kept in memory: 40 MiB. A volume in one segment has 20 to 30."""
_TOKEN = re.compile(
    r"""(?:\s|\#[^\n]*)*+(?:(?P<sign>[={}\[\],])|"(?P<text>(?:[^"\\]|\\.)*+)"|(?P<number>-?[0-9]++(?:\.[0-9]++)?)"""
    r"""(?![A-Za-z0-9_.+-])|(?P<name>[A-Za-z0-9_.+-]++)|(?P<end>\x00*+\Z))""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
Token = tuple[str, "int | str"]


def parse(text: bytes, budget: Budget) -> Section:
    """The sections of the text. Raises Broken for what is no such text, and for a name that is there twice."""
    tokens = _tokens(text.decode("latin-1"), budget)
    section, sign = _section(tokens, 0)
    if sign != "end":
        raise Broken("the text of a volume group closes a section that it did not open")
    return section


def _tokens(text: str, budget: Budget) -> Iterator[Token]:
    position = values = 0
    while True:
        budget.step()
        match = _TOKEN.match(text, position)
        if match is None:
            raise Broken(f"the text of a volume group has no sense at byte {position}")
        position = match.end()
        kind = match.lastgroup or "end"
        values += kind != "sign"
        if values > 2 * MAX_VALUES:  # each has a name
            raise TooMuch(f"the text of a volume group has more than {MAX_VALUES} values")
        value = match[kind]
        if kind == "end":
            break
        if kind == "number":
            yield kind, _number(value)
        elif kind == "text":
            yield kind, _ESCAPED.sub(r"\1", value)
        else:
            yield kind, value
    yield "end", ""


def _number(value: str) -> int:
    if len(value) > 20:
        raise Broken("the text of a volume group has a number of more than 20 digits")
    return int(value.partition(".")[0])


def _section(tokens: Iterator[Token], depth: int) -> tuple[Section, str]:
    """The fields up to the end of the section, and by what it ends."""
    if depth > MAX_DEPTH:
        raise Broken(f"the text of a volume group has sections deeper than {MAX_DEPTH}")
    section: Section = {}
    for kind, value in tokens:
        if kind == "end" or value == "}":
            return section, "end" if kind == "end" else "}"
        name = str(value)
        if kind not in ("name", "number"):
            raise Broken(f"the text of a volume group has {name!r} where a name belongs")
        if name in section:
            raise Broken(f"the text of a volume group has {name!r} twice in a section")
        _, sign = next(tokens, ("end", ""))
        if sign == "{":
            section[name], end = _section(tokens, depth + 1)
            if end != "}":
                raise Broken("the text of a volume group ends inside of a section")
        elif sign == "=":
            section[name] = _value(tokens)
        else:
            raise Broken(f"the text of a volume group has {sign!r} behind the name {name!r}")
    raise Broken("the text of a volume group ends inside of a section")


def _value(tokens: Iterator[Token]) -> Value:
    kind, value = next(tokens, ("end", ""))
    if kind in ("number", "text"):
        return value
    if value != "[":
        raise Broken(f"the text of a volume group has {value!r} where a value belongs")
    values: list[int | str] = []
    for kind, value in tokens:
        if kind in ("number", "text"):
            values.append(value)
        elif value == "]":
            return values
        elif value != ",":
            break
    raise Broken("a list in the text of a volume group does not end")
