"""Versions of Ruby's packages. Source: Gem::Version of RubyGems (lib/rubygems/version.rb)."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_SEGMENTS = 32
_VERSION = re.compile(r"[0-9]+(?:\.[0-9A-Za-z]+)*(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?", re.ASCII)
_SEGMENT = re.compile(r"[0-9]+|[a-z]+", re.IGNORECASE)
_ZERO = (1, 0, "")


def key(version: str) -> tuple[Any, ...]:
    """See the package. Words sort before numbers; what is missing at the end counts as 0."""
    text = version.strip()
    if not _VERSION.fullmatch(text):
        raise ValueError(f"{version!r:.60} is no version of RubyGems")
    segments = _SEGMENT.findall(text.replace("-", ".pre."))
    if len(segments) > MAX_SEGMENTS:
        raise ValueError(f"{version!r:.60} is a version of {len(segments)} parts, more than {MAX_SEGMENTS}")
    parts = [(1, int(segment), "") if segment.isdigit() else (0, 0, segment) for segment in segments]
    first = next((index for index, part in enumerate(parts) if part[0] == 0), len(parts))
    numbers = parts[:first]
    while numbers and numbers[-1] == _ZERO:
        numbers.pop()
    parts = numbers + parts[first:]
    return tuple(parts + [_ZERO] * (MAX_SEGMENTS - len(parts)))
