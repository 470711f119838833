"""The last days on which the makers of systems publish security updates without an extra contract: the operator's
`support_ends` come first, then the dates of `support_end_dates.py`.

A version between two that are listed, or before the first one, is an earlier release than the next that is listed: it
lost its support no later. A version after the last one is not known.
"""

from __future__ import annotations

import re

from .support_end_dates import ENDS, SOURCES_OF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_LEAP_42 = 14
"""openSUSE's releases were 13.2, then Leap 42.1 to 42.3, then 15.0."""


def support_end(system: str, ends: Mapping[str, str]) -> str:
    """The last day of a system such as ``debian:12``; empty if it is not known. `ends` comes first."""
    name, _, version = system.partition(":")
    listed = ENDS.get(name, {})
    return ends.get(system) or listed.get(version) or _end_of_unlisted(name, version, listed)


def _end_of_unlisted(name: str, version: str, listed: Mapping[str, str]) -> str:
    if not listed or not _NUMBERS.fullmatch(version):
        return ""
    position = _position(name, version)
    later = [(_position(name, each), end) for each, end in listed.items() if _position(name, each) > position]
    if not later:
        return ""
    end = min(later)[1]
    # What is older than all that the sources list was over on their day.
    return min(end, SOURCES_OF) if len(later) == len(listed) else end


def _position(name: str, version: str) -> tuple[int, ...]:
    """The place of a version among those of its system."""
    major, *minor = map(int, version.split("."))
    if name == "opensuse-leap" and major == 42:
        major = _LEAP_42
    return (major, *minor)
