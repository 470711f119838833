"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "random-share"
    use = "plugins/random_share.py:RandomShare"
    python = "/opt/douane/numpy/bin/python"
    config = { most = 0.9 }

Shows numpy, from the plugin's own interpreter. Make that once::

    python3 -m venv /opt/douane/numpy
    /opt/douane/numpy/bin/pip install douane-plugin numpy

An array over a window is a view of memory that is used again. Here it is gone before the next window is asked for;
what is kept are numbers. Windows of one size, without an overlap, make the answer independent of where chunks end.
"""

from __future__ import annotations

import numpy as np

from douane_plugin import Image, Inspector, Reject

BLOCK = 64 << 10
RANDOM = 7.9
"""Bits a byte. In 64 KiB of random bytes it is above 7.99; programs and texts are below 7."""


class RandomShare(Inspector):
    """Refuse an image of which nearly all looks random: encrypted, or compressed once more, it cannot be checked.

    `most` is the largest share of blocks of 64 KiB that may look so, from 0.0 to 1.0. Blocks of zeros are not counted.
    """

    def __init__(self, most: float = 0.9):
        if not 0 <= most <= 1:
            raise ValueError(f"most: a share from 0.0 to 1.0, not {most}")
        self.most = most

    def inspect(self, image: Image) -> dict[str, int]:
        counted = looks_random = 0
        for window in image.windows(BLOCK):
            if len(window) < BLOCK:
                break  # the rest, which is too short to tell
            counts = np.bincount(np.frombuffer(window, dtype=np.uint8), minlength=256)
            if counts[0] == BLOCK:
                continue
            shares = counts[counts > 0] / BLOCK
            counted += 1
            looks_random += int(-(shares * np.log2(shares)).sum() > RANDOM)
        if counted and looks_random / counted > self.most:
            raise Reject(
                "looks-random",
                f"{looks_random} of {counted} blocks of the image look random; upload it without encryption, and"
                " compressed no more than once",
            )
        return {"blocks": counted, "random_blocks": looks_random}
