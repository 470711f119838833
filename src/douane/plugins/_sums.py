"""Lists of digests by file name, as ``sha256sum`` and its kin write them.

GNU: ``0123... *name``, and a backslash at the beginning of the line if the name has escapes. BSD, and Fedora:
``SHA256 (name) = 0123...``; OpenSSL: ``SHA2-256(name)= 0123...``.
"""

from __future__ import annotations

import re

from douane_plugin import Incomplete, Reject

DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
"""The algorithms, and the hexadecimal digits of their digests."""

WEAK = ("md5", "sha1")
"""They detect accidents, not forgeries."""

MAX_BYTES = 8 << 20

ABSENT = ("sums-no-name", "sums-not-listed")
"""Codes that say that the list does not speak of the image."""

_GNU = re.compile(r"(\\?)([0-9a-fA-F]{32,128})(?: [ *]|\s+)(.+)")
_TAG = re.compile(r"(?:SHA2-|SHA|MD)(\d{1,3}) ?\((.+)\) ?= ?([0-9a-fA-F]{32,128})")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_OF_LENGTH = {digits: algorithm for algorithm, digits in DIGITS.items()}


class Line:
    """The file `name` has the `digest` (lower-case hex) by the `algorithm`."""

    def __init__(self, name: str, algorithm: str, digest: str) -> None:
        self.name, self.algorithm, self.digest = name, algorithm, digest


def parse(data: bytes) -> list[Line]:
    """The lines of a list; any other line (a comment, a signature's frame) is left out."""
    lines = (_parse_line(text) for text in data.decode("utf-8", "surrogateescape").split("\n"))
    return [line for line in lines if line]


def lines_of(lines: list[Line], name: str | None, algorithms: tuple[str, ...]) -> list[Line]:
    """The lines about the file `name` by one of the `algorithms`, no two of which contradict each other.

    Raises Incomplete without a name, Reject if the list has no such line, or two that differ.
    """
    if not name:
        raise Incomplete(
            "sums-no-name", "this site looks images up by name in a list of digests, and the image has no name; name it"
        )
    about = [line for line in lines if name in (line.name, line.name.rpartition("/")[2])]
    usable = [line for line in about if line.algorithm in algorithms]
    if not usable:
        detail = (
            f"only by {', '.join(sorted({line.algorithm for line in about}))}, which is not enough" if about else ""
        )
        raise Reject(
            "sums-not-listed",
            f"this site's list of digests does not have the image {name!r:.200}{' but ' + detail if detail else ''}; "
            "give the image the name of a listed file, or ask for it to be listed",
        )
    digests: dict[str, str] = {}
    for line in usable:
        if digests.setdefault(line.algorithm, line.digest) != line.digest:
            raise Reject(
                "sums-ambiguous",
                f"this site's list of digests has several digests for {name!r:.200}; ask the operator",
            )
    return usable


def _parse_line(text: str) -> Line | None:
    text = text.rstrip("\r")
    if tagged := _TAG.fullmatch(text.strip()):
        number, name, digest = tagged.groups()
        algorithm = {"1": "sha1", "5": "md5"}.get(number, f"sha{number}")
        if DIGITS.get(algorithm) != len(digest):
            return None
        return Line(name.removeprefix("./"), algorithm, digest.lower())
    if not (plain := _GNU.fullmatch(text)):
        return None
    escaped, digest, name = plain.groups()
    if escaped:
        name = re.sub(r"\\[\\nr]", lambda match: _ESCAPES[match[0]], name)
    algorithm = _OF_LENGTH.get(len(digest), "")
    return Line(name.removeprefix("./"), algorithm, digest.lower()) if algorithm else None
