"""Versions of Python's packages. Source: PEP 440, the specification "Version specifiers" of packaging.python.org."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VERSION = re.compile(
    r"""v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|beta|preview|pre|a|b|c|rc)[-_.]?(?P<pre_number>[0-9]*))?
    (?P<post>-(?P<post_bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>[0-9]*))?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]*))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_PHASES = {"a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3, "pre": 3, "preview": 3}
_DEV, _FINAL = 0, 4
"""Phases: a development release of a final one sorts before its first alpha."""


def key(version: str) -> tuple[Any, ...]:
    """See the package."""
    match = _VERSION.fullmatch(version.strip())
    if match is None:
        raise ValueError(f"{version!r:.60} is no version of PEP 440")
    release = [int(number) for number in match["release"].split(".")]
    while release and not release[-1]:
        release.pop()
    post = (1, int(match["post_bare"] or match["post_number"] or 0)) if match["post"] else (0, 0)
    dev = (0, int(match["dev_number"] or 0)) if match["dev"] else (1, 0)
    if match["pre"]:
        phase = (_PHASES[match["pre"].lower()], int(match["pre_number"] or 0))
    else:
        phase = (_DEV if match["dev"] and not match["post"] else _FINAL, 0)
    return int(match["epoch"] or 0), tuple(release), phase, post, dev, _local(match["local"])


def _local(text: str | None) -> tuple[tuple[int, int, str], ...]:
    """Numbers sort after words, and any local version after none."""
    parts = re.split(r"[-_.]", text.lower()) if text else []
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)
