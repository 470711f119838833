"""The constants in a plugin's code, from which test images are built: they reach branches that random bytes do not."""

from __future__ import annotations

import binascii
import contextlib
import random
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_CONSTANT = 4096
MAX_TOKENS = 160
MAX_OFFSETS = 40
MAX_PATTERNS = 24
MAX_OFFSET = 4 << 20
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_EXPRESSION = re.compile(r"\[[^]]+\]|\\[dwsSWDbx]|[^ ][+*]|\{\d+|\(\?|\|")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){1,64}")


@dataclass(frozen=True)
class Words:
    """`tokens` are bytes to put into an image at `offsets`; `texts` and `names` are for declared facts.

    `patterns` are those of the tokens that match a regular expression of the plugin, `numbers` all its integers.
    """

    tokens: tuple[bytes, ...]
    offsets: tuple[int, ...]
    numbers: tuple[int, ...]
    texts: tuple[str, ...]
    names: tuple[str, ...]
    patterns: tuple[bytes, ...]


def constants(sources: Mapping[str, str], settings: Iterable[Any], class_name: str) -> list[Any]:
    """Return the bytes, texts and integers in the code of the plugin, those of the class itself first."""
    unique: dict[tuple[type, Any], Any] = {}
    trees = []
    for path, text in sources.items():
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):
            trees.append(compile(text, path, "exec", dont_inherit=True))
    classes = [code for tree in trees for code in _codes(tree) if code.co_name == class_name]
    for code in (*classes, *trees):
        for value in _flat([part.co_consts for part in _codes(code)]):
            unique.setdefault((type(value), value), value)
    for value in _flat(settings):
        unique.setdefault((type(value), value), value)
    return list(unique.values())


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flat(value)
        elif isinstance(value, frozenset):
            yield from _flat(sorted(value, key=repr))
        elif isinstance(value, dict):
            yield from _flat([*value, *value.values()])
        elif isinstance(value, bytes | str):
            if 0 < len(value) <= MAX_CONSTANT:
                yield value
        elif isinstance(value, int) and not isinstance(value, bool):
            yield value


def build(values: Iterable[Any], reads: str, seed: int) -> Words:
    """Return the words that follow from constants; the likeliest to be compared with an image come first."""
    values = list(values)
    integers = {value for value in values if isinstance(value, int)}
    numbers = sorted(integers, key=lambda number: (abs(number) > MAX_OFFSET, abs(number)))
    texts = [value for value in values if isinstance(value, str) and not value.startswith("__")]
    literals = [value for value in values if isinstance(value, bytes)]
    patterns = _matches([*literals, *texts], seed)
    encodings = ["utf-8"]
    if any("utf-16" in text or "utf_16" in text for text in texts):
        encodings.append("utf-16-le")
    short = [text for text in texts if len(text) <= 64 and text.isprintable()]
    short.sort(key=lambda text: (text.count(" ") > 2, "%" in text or "{" in text))
    encoded = [text.encode(encoding) for encoding in encodings for text in short]
    hexes = [binascii.unhexlify(text) for text in texts if _HEX.fullmatch(text)]
    recased = [
        changed
        for token in [*literals[:20], *encoded[:20]]
        if len(token) <= 64 and token.isascii()
        for changed in (token.lower(), token.upper())
    ]
    packed = _packed([number for number in numbers if number > 1])
    distinct = dict.fromkeys([*literals, *hexes, *patterns, *encoded, *recased, *packed])
    tokens = [token for token in distinct if token][:MAX_TOKENS]
    offsets = {offset for number in numbers for offset in (number - 1, number, number + 1) if 0 <= offset <= MAX_OFFSET}
    if reads.startswith("head:"):
        head = int(reads[5:])
        offsets = {offset for offset in offsets if offset <= head + 1} | {head - 1, head}
    likely = sorted(offsets, key=lambda offset: (offset not in integers, offset))[:MAX_OFFSETS]
    names = [text for text in texts if _NAME.fullmatch(text)]
    return Words(
        tuple(tokens), tuple(sorted(likely)), tuple(numbers), tuple(texts[:200]), tuple(names[:60]), tuple(patterns)
    )


def _packed(numbers: list[int]) -> Iterator[bytes]:
    for number in numbers[:24]:
        for size in [size for size in (1, 2, 4, 8) if number < 1 << (8 * size)][:3]:
            yield number.to_bytes(size, "little")
            yield number.to_bytes(size, "big")


def _matches(values: Iterable[bytes | str], seed: int) -> list[bytes]:
    """Return a few texts for each constant that looks like a regular expression, made by hypothesis."""
    matches: list[bytes] = []
    expressions = [value for value in values if len(value) <= 200 and _looks_like_expression(value)]
    for expression in expressions[:MAX_PATTERNS]:
        try:
            pattern: re.Pattern[Any] = re.compile(expression)
        except (re.error, ValueError):
            continue
        examples = sorted({match for match in _examples(pattern) if 0 < len(match) <= 512}, key=lambda m: (len(m), m))
        matches += [*examples[:3], *random.Random(seed).sample(examples, min(3, len(examples)))]
    return list(dict.fromkeys(matches))


def _looks_like_expression(value: bytes | str) -> bool:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text.count(" ") < 3 and _EXPRESSION.search(text) is not None


def _examples(pattern: re.Pattern[Any]) -> list[bytes]:
    import hypothesis
    from hypothesis import strategies

    examples: list[bytes] = []

    @hypothesis.settings(
        max_examples=12,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.from_regex(pattern))
    def collect(text: Any) -> None:
        examples.append(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))

    with contextlib.suppress(hypothesis.errors.HypothesisException):  # a pattern that hypothesis does not support
        collect()
    return examples
