"""The declared facts to try: none, all, odd ones, and those of the author, whole and in parts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from .cases import NOTHING_DECLARED, Facts
from .words import Words

FORMATS = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ploop", "ami", "Odd Format!", "é", "")
VALUES = ("", "1", "true", "abc", "-1", "9" * 30, "ß\x00")
"""Values of a property."""

MAX_PAIRS = 40
_COUNTS = re.compile(r"size|bytes|count|length|number|sector|blocks|_at$|depth")


def declarations(usual: Facts, words: Words, reads: str) -> Iterator[Facts]:
    """Yield declared facts for a plugin with the constants `words`; `usual` has the properties and findings given."""
    yield usual
    yield NOTHING_DECLARED
    yield from _variations(usual, words)
    yield from _usual_fields(usual)
    yield from _texts(usual, words)
    yield from _properties(usual, words)
    if reads in ("findings", "guest+findings"):
        yield from _findings(usual, words)


def _usual_fields(usual: Facts) -> Iterator[Facts]:
    for size in (True, False):
        yield dataclasses.replace(usual, size=size)
        yield dataclasses.replace(usual, name=None, size=size)
        yield dataclasses.replace(usual, disk_format=None, size=size)
        yield dataclasses.replace(usual, container_format=None, size=size)
    for name in ("", "x", "ä ö.qcow2", "IMAGE", "no-dot", "..", "a" * 300, "with\ttab\nand line", "%s %d {0}"):
        yield dataclasses.replace(usual, name=name)
    for text in FORMATS:
        yield dataclasses.replace(usual, disk_format=text)
    for text in ("ova", "docker", "odd"):
        yield dataclasses.replace(usual, container_format=text)
    yield dataclasses.replace(usual, owner="0123456789abcdef0123456789abcdef", roles=("member", "admin"))
    yield dataclasses.replace(usual, owner="", roles=("",))


def _texts(usual: Facts, words: Words) -> Iterator[Facts]:
    """Yield the texts of the plugin's code as names, formats, owners and roles."""
    for text in _short(words)[:60]:
        yield dataclasses.replace(usual, name=text)
        yield dataclasses.replace(usual, disk_format=text)
        yield dataclasses.replace(usual, owner=text, roles=(text,))
    for pattern in words.patterns[:30]:
        text = pattern.decode("utf-8", "replace")
        yield dataclasses.replace(usual, name=text)
        yield dataclasses.replace(usual, owner=text)


def _properties(usual: Facts, words: Words) -> Iterator[Facts]:
    """Yield the names of the plugin's code as properties."""
    names = words.names[:MAX_PAIRS]
    for name in names:
        for value in VALUES:
            yield _with_properties(usual, {name: value})
    for value in (*VALUES, *_short(words)[:25]):
        yield _with_properties(usual, dict.fromkeys(names, value))


def _findings(usual: Facts, words: Words) -> Iterator[Facts]:
    keys = [name for name in words.names if "." in name]
    for value in ("raw", "gpt", "none", *words.texts[:30]):
        pairs = [(key, 7 if _COUNTS.search(key) else value) for key in keys]
        for chosen in (pairs, *([pair] for pair in pairs[:10])):
            yield dataclasses.replace(usual, findings=tuple({**dict(usual.findings), **dict(chosen)}.items()))


def _variations(usual: Facts, words: Words) -> Iterator[Facts]:
    """Yield the author's properties and findings: none, each alone, all but one, and each with other values."""
    if usual.properties:
        yield dataclasses.replace(usual, properties=())
    if usual.findings:
        yield dataclasses.replace(usual, findings=())
    for index, (key, value) in enumerate(usual.properties[:MAX_PAIRS]):
        yield dataclasses.replace(usual, properties=((key, value),))
        yield dataclasses.replace(usual, properties=usual.properties[:index] + usual.properties[index + 1 :])
        for text in (*VALUES, value.upper(), f" {value}", value[:-1], *_short(words)[:25]):
            yield _with_properties(usual, {key: text})
    for index, (key, value) in enumerate(usual.findings[:MAX_PAIRS]):
        yield dataclasses.replace(usual, findings=((key, value),))
        yield dataclasses.replace(usual, findings=usual.findings[:index] + usual.findings[index + 1 :])
        for changed in _of_its_type(value, words):
            yield dataclasses.replace(usual, findings=tuple({**dict(usual.findings), key: changed}.items()))


def _of_its_type(value: Any, words: Words) -> list[Any]:
    """Return other values of the type of a finding: the plugin that reports it always uses that type."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [0, 1, value + 1, max(0, value - 1), 1 << 40, (1 << 63) - 1, *words.numbers[:25]]
    if isinstance(value, float):
        return [0.0, 0.5, 1.0, -value, 1e300]
    return ["", "none", "abc", f"{value}"[:-1], *_short(words)[:25]]


def _with_properties(usual: Facts, properties: dict[str, str]) -> Facts:
    return dataclasses.replace(usual, properties=tuple({**dict(usual.properties), **properties}.items()))


def _short(words: Words) -> list[str]:
    return [text for text in words.texts if len(text) < 100]
