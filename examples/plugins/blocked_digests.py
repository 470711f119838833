"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "blocked-digests"
    use = "plugins/blocked_digests.py:BlockedDigests"
    grants = { rules = "file:rules/blocked.sha256" }

Shows a grant to a file: a plugin opens no path, ``self.grant("rules")`` is the file that the operator opened for it. It
works in the constructor, so that a line that is wrong stops the start instead of an import.
"""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from douane_plugin import Image, Inspector, Reject

MOST_BYTES = 64 << 20
LONGEST_LINE = 4096


class BlockedDigests(Inspector):
    """Refuse images whose SHA-256 stands in a file, which looks as sha256sum(1) writes it.

    A line has 64 hexadecimal digits, then anything. Empty lines, and those that begin with #, are left out.
    """

    def __init__(self) -> None:
        self.blocked = set(self._digests(self.grant("rules")))
        self.log.info("%d digests are blocked", len(self.blocked))

    def inspect(self, image: Image) -> None:
        digest = hashlib.sha256()
        for chunk in image:
            digest.update(chunk)
        if digest.digest() in self.blocked:
            raise Reject(
                "blocked-image",
                "exactly this image is known and not allowed here; use its current release, or ask the operator why",
            )

    def _digests(self, rules: BinaryIO) -> list[bytes]:
        found = []
        number = 0
        while line := rules.readline(LONGEST_LINE):
            number += 1
            if rules.tell() > MOST_BYTES:
                raise ValueError(f"the granted file 'rules' has more than {MOST_BYTES} bytes")
            word = line.split(maxsplit=1)[0] if line.strip() else b"#"
            if word.startswith(b"#"):
                continue
            try:
                digest = bytes.fromhex(word.decode("ascii"))
            except ValueError:
                digest = b""
            if len(digest) != 32 or len(word) != 64:
                raise ValueError(
                    f"the granted file 'rules', line {number}: {word[:40]!r} is no SHA-256 of 64 hexadecimal digits"
                )
            found.append(digest)
        return found
