"""From the constants in a plugin's code to the pieces that test images are made of."""

from __future__ import annotations

import binascii
import contextlib
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_TOKENS = 160
MOST_OFFSETS = 40
LARGEST_OFFSET = 4 << 20
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_EXPRESSION = re.compile(r"\[[^]]+\]|\\[dwsSWDbx]|[^ ][+*]|\{\d+|\(\?|\|")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){1,64}")


@dataclass
class Dictionary:
    """`tokens` are bytes that may stand in an image, `offsets` where, `names` and `words` what may be declared."""

    tokens: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    patterns: list[bytes] = field(default_factory=list)
    """What regular expressions of the plugin match."""


def build(found: Mapping[str, Any], reads: str, seed: int) -> Dictionary:
    """Order matters: what is likeliest to be compared with the image comes first."""
    numbers = sorted({int(text) for text in found.get("ints", ())}, key=lambda n: (abs(n) > LARGEST_OFFSET, abs(n)))
    texts = [text for text in found.get("texts", ()) if not text.startswith("__")]
    constants = [bytes.fromhex(text) for text in found.get("bytes", ())]
    patterns = _patterns([*found.get("patterns", ()), *_written_out(constants, texts)], seed)
    encodings = ["utf-8"]
    if any("utf-16" in text or "utf_16" in text for text in texts):
        encodings.append("utf-16-le")
    short = [text for text in texts if len(text) <= 64]
    short.sort(key=lambda text: (text.count(" ") > 2, "%" in text or "{" in text))
    encoded = [text.encode(encoding) for encoding in encodings for text in short]
    hexes = [binascii.unhexlify(text) for text in texts if _HEX.fullmatch(text)]
    letters = [
        changed
        for token in [*constants[:20], *encoded[:20]]
        if len(token) <= 64 and token.isascii()
        for changed in (token.lower(), token.upper())
        if changed != token
    ]
    packed = list(_packed(number for number in numbers if number > 1))
    tokens = _distinct([*constants, *hexes, *patterns, *encoded, *letters, *packed])[:MOST_TOKENS]
    offsets = {n for number in numbers for n in (number - 1, number, number + 1) if 0 <= n <= LARGEST_OFFSET}
    if reads.startswith("head:"):
        head = int(reads[5:])
        offsets = {n for n in offsets if n <= head + 1} | {max(0, head - 1), head}
    ordered = sorted(offsets, key=lambda n: (n not in numbers, n))[:MOST_OFFSETS]
    names = [text for text in texts if _NAME.fullmatch(text)]
    return Dictionary(tokens, sorted(ordered), numbers, texts[:200], names[:60], patterns)


def _packed(numbers: Iterable[int]) -> Iterable[bytes]:
    for number in list(numbers)[:24]:
        sizes = [size for size in (1, 2, 4, 8) if number < 1 << (8 * size)][:3]
        for size in sizes:
            yield number.to_bytes(size, "little")
            if size > 1:
                yield number.to_bytes(size, "big")


def _distinct(tokens: Iterable[bytes]) -> list[bytes]:
    return [token for token in dict.fromkeys(tokens) if token]


def _patterns(told: Iterable[Any], seed: int) -> list[bytes]:
    """A few texts for each regular expression that match it, made by hypothesis."""
    matching: list[bytes] = []
    for is_bytes, pattern, flags in list(told)[:30]:
        try:
            if is_bytes:
                compiled: Any = re.compile(bytes.fromhex(pattern), flags)
            else:
                compiled = re.compile(pattern, flags)
        except (re.error, ValueError):
            continue  # of a `re` of another version
        found = _examples(compiled)
        found = _distinct(one for one in found if len(one) <= 512)
        found.sort(key=len)
        matching += [*found[:3], *random.Random(seed).sample(found, min(3, len(found)))]
    return _distinct(matching)


def _written_out(constants: Iterable[bytes], texts: Iterable[str]) -> list[list[Any]]:
    """Constants that look like regular expressions, as for ``re.search(rb"...", data)``."""
    likely: list[list[Any]] = []
    for one in constants:
        if len(one) <= 200 and _EXPRESSION.search(one.decode("latin-1")):
            likely.append([True, one.hex(), 0])
    for text in texts:
        if len(text) <= 200 and text.count(" ") < 3 and _EXPRESSION.search(text):
            likely.append([False, text, 0])
    return likely[:16]


def _examples(pattern: Any) -> list[bytes]:
    import hypothesis
    from hypothesis import strategies

    found: list[bytes] = []

    @hypothesis.settings(
        max_examples=12,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.from_regex(pattern))
    def take(text: Any) -> None:
        found.append(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))

    with contextlib.suppress(hypothesis.errors.HypothesisException):  # a pattern that it cannot take: fewer inputs
        take()
    return found
