"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "random-share"
    use = "plugins/random_share.py:RandomShare"
    python = "/opt/douane/numpy/bin/python"
    config = { max_share = 0.9 }

Shows numpy, in the plugin's own virtual environment. Make that once, in a checkout of Douane::

    python3 -m venv /opt/douane/numpy
    /opt/douane/numpy/bin/pip install ./sdk numpy

An array over a window is a view of memory that is used again. The plugin drops it before it asks for the next window,
and keeps only numbers. Windows of one size, without an overlap, make the answer independent of the length of chunks.
"""

from __future__ import annotations

import numpy as np

from douane_plugin import Image, Inspector, Reject

BLOCK = 64 << 10
RANDOM = 7.9
"""Entropy in bits a byte. 64 KiB of random bytes have more than 7.99; programs and texts have less than 7."""


class RandomShare(Inspector):
    """Refuse an image that is encrypted, or compressed once more, as other plugins cannot check it.

    `max_share` is the largest share of blocks of 64 KiB that may look random, from 0.0 to 1.0, without blocks of zeros.
    """

    def __init__(self, max_share: float = 0.9):
        if not 0 <= max_share <= 1:
            raise ValueError(f"max_share: a share from 0.0 to 1.0, not {max_share}")
        self.max_share = max_share

    def inspect(self, image: Image) -> dict[str, int]:
        counted = looks_random = 0
        for window in image.windows(BLOCK):
            if len(window) < BLOCK:
                break  # the rest is too short for the measure
            counts = np.bincount(np.frombuffer(window, dtype=np.uint8), minlength=256)
            if counts[0] == BLOCK:
                continue
            shares = counts[counts > 0] / BLOCK
            counted += 1
            looks_random += int(-(shares * np.log2(shares)).sum() > RANDOM)
        if counted and looks_random / counted > self.max_share:
            raise Reject(
                "looks-random",
                f"{looks_random} of {counted} blocks of the image look random; upload it without encryption, and"
                " compressed no more than once",
            )
        return {"blocks": counted, "random_blocks": looks_random}
