"""A program that stages, publishes and deletes an image, and kills itself at a point of its way; tests/stores runs it.

    killed_store.py URL OPTIONS KEY IMAGE POINT

OPTIONS is JSON. POINT is the number of the call or return (of Python's or the library's functions) at which it dies;
with 0 it lives, and prints how many there were.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType
from typing import Any

from douane.stores import open_store

DATA = bytes(range(1, 256)) * 4096 * 9
"""Longer than a part of any store."""

HOLE = 17 << 20
SIZE = 2 * len(DATA) + HOLE


def content() -> bytes:
    """What it writes."""
    return DATA + bytes(HOLE) + DATA


def pieces() -> list[tuple[int, bytes]]:
    """The offsets and the bytes that it writes; what lies between is a hole."""
    step = len(DATA) // 9
    starts = range(0, len(DATA), step)
    return [(base + start, DATA[start : start + step]) for base in (0, len(DATA) + HOLE) for start in starts]


class Death:
    """Counts calls and returns, and kills this process at one."""

    def __init__(self, point: int) -> None:
        self.count = 0
        self._point = point

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        self.count += 1
        if self.count == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, options: str, key: str, image: str, point: str) -> None:
    store = open_store(url, json.loads(options))
    death = Death(int(point))
    sys.setprofile(death)
    staged = store.stage(key)
    for offset, piece in pieces():
        staged.write(memoryview(piece), offset)
    staged.finish(SIZE)
    store.publish(staged, image)
    staged.close()
    store.delete(image)
    sys.setprofile(None)
    print(death.count)


if __name__ == "__main__":
    main(*sys.argv[1:])
