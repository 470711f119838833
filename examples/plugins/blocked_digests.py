"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "blocked-digests"
    use = "plugins/blocked_digests.py:BlockedDigests"
    grants = { rules = "file:rules/blocked.sha256" }

Shows a granted file: a plugin cannot open a path, but ``self.grant("rules")`` is a file that Douane has opened for it.
The constructor reads it, so that an invalid line stops the start and not an import.
"""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from douane_plugin import Image, Inspector, Reject

MAX_BYTES = 64 << 20
MAX_LINE = 4096


class BlockedDigests(Inspector):
    """Refuse images whose SHA-256 is listed in a file, in the format of sha256sum(1).

    A line has 64 hexadecimal digits, then anything. Empty lines, and lines that begin with #, are skipped.
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
                "this very image is not allowed here; use its current release, or ask the operator for the reason",
            )

    def _digests(self, rules: BinaryIO) -> list[bytes]:
        digests = []
        number = 0
        while line := rules.readline(MAX_LINE):
            number += 1
            if rules.tell() > MAX_BYTES:
                raise ValueError(f"the granted file 'rules' has more than {MAX_BYTES} bytes")
            word = line.split(maxsplit=1)[0] if line.strip() else b"#"
            if word.startswith(b"#"):
                continue
            try:
                digest = bytes.fromhex(word.decode("ascii"))
            except ValueError:
                digest = b""
            if len(digest) != 32 or len(word) != 64:
                raise ValueError(
                    f"the granted file 'rules', line {number}: {word[:40]!r} is not a SHA-256 of 64 hexadecimal digits"
                )
            digests.append(digest)
        return digests
