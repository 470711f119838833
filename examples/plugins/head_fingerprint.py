"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "head"
    use = "plugins/head_fingerprint.py:HeadFingerprint"

Shows properties: the mapping that ``inspect`` returns is published with the image, under the plugin's name in the plan:
``head.sha256``, ``head.entropy``, ``head.bytes``.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter

from douane_plugin import Image, Inspector

HEAD = 1 << 20


class HeadFingerprint(Inspector):
    """Publish digest and entropy of the first MiB, by which images made from the same one can be found.

    `sha256` is the digest of the first MiB, or of a shorter image; `entropy` is in bits a byte, from 0.0 (a single
    value) to 8.0 (compressed, or encrypted); `bytes` is the number of these bytes.
    """

    reads = f"head:{HEAD}"

    def inspect(self, image: Image) -> dict[str, str | float | int]:
        head = image.read(HEAD)
        return {"sha256": hashlib.sha256(head).hexdigest(), "entropy": round(entropy(head), 4), "bytes": len(head)}


def entropy(data: bytes) -> float:
    """Return Shannon's entropy of `data` in bits a byte; 0.0 without data."""
    return max(0.0, -sum(n / len(data) * math.log2(n / len(data)) for n in Counter(data).values()))
