"""Cut one image in many ways: the answer must be the same, because the length of chunks is not part of the contract."""

from __future__ import annotations

import os
import random
from typing import Any, Iterable, Iterator, Optional

from ._pieces import ChunksLike, Cuts, Source, lengths
from ._result import Result
from ._run import run

EVERY_BOUNDARY_BYTES = 256
"""Longest image that is cut at every offset."""

LENGTHS = (1, 2, 3, 5, 7, 16, 63, 512, 513, 4096, 4097, 65536)
MAX_CHUNKS = 20_000
"""Chunks of an image; more of them take too long."""

MAX_RUNS = 2000
MAX_RUNS_SANDBOX = 100
"""Runs that the search for fewer cuts may take."""

SHOWN_CUTS = 20
SINGLE_CUTS = 64
RANDOM = 8


def run_all_cuts(
    plugin: Any, image: Any, *, near: Iterable[int] = (), seed: int = 0, **keywords: Any
) -> dict[str, Result]:
    """Run `plugin` on `image`, cut in many ways, and return the results by the way of cutting, the whole image first.

    The image is cut byte by byte, into pieces of equal length, at single offsets, and at random. An image of up to 256
    bytes is cut at every offset, a longer one at offsets that follow from `seed` (an int), and around the offsets
    `near`: the ends of whatever the plugin searches for. `image` and the other `keywords` are as for :func:`run`,
    except `chunks`. A failure is a result and never raised; otherwise raises what :func:`run` raises.
    """
    image = _readable_again(image)
    keywords["raise_on_failure"] = False
    return {
        describe(chunks, number): run(plugin, image, chunks=chunks, seed=number, **keywords)
        for chunks, number in ways(_size(image), near, seed)
    }


def ways(size: int, near: Iterable[int], seed: int) -> Iterator[tuple[ChunksLike, int]]:
    """Yield the ways to cut an image of `size` bytes, each as the arguments `chunks` and `seed` of a run."""
    yield None, seed
    for length in LENGTHS:
        if length < size and size // length <= MAX_CHUNKS:
            yield length, seed
    for offset in sorted(single_cuts(size, near, seed)):
        yield Cuts(offset), seed
    for number in range(RANDOM if size > 2 else 0):
        if size <= MAX_CHUNKS * 1000:
            yield "random", seed + number


def single_cuts(size: int, near: Iterable[int], seed: int) -> set[int]:
    """Return the offsets of single cuts: all, or those around `near` and some at random."""
    if size <= EVERY_BOUNDARY_BYTES:
        return set(range(1, size))
    numbers = random.Random(seed)
    offsets = {offset + distance for offset in near for distance in range(-8, 9)}
    offsets |= {1, 2, 511, 512, 513, size // 2, size - 512, size - 2, size - 1}
    offsets |= {1 + int(numbers.random() * (size - 1)) for _ in range(SINGLE_CUTS)}
    return {offset for offset in offsets if 0 < offset < size}


def describe(chunks: ChunksLike, seed: int) -> str:
    """Return a way of cutting as text."""
    if chunks is None:
        return "whole"
    if isinstance(chunks, Cuts):
        return "cut at " + ", ".join(map(str, chunks.offsets))
    return f"random, seed={seed}" if chunks == "random" else f"pieces of {chunks}"


def assert_same_for_all_cuts(
    plugin: Any, image: Any, *, near: Iterable[int] = (), seed: int = 0, **keywords: Any
) -> Result:
    """Assert that the answer of `plugin` does not depend on where `image` is cut, and return the result.

    The arguments are those of :func:`run_all_cuts`. Raises AssertionError with the smallest difference and its remedy,
    and, if the plugin fails on the whole image, what :func:`run` raises.
    """
    __tracebackhide__ = True
    image = _readable_again(image)
    expected = run(plugin, image, **{"raise_on_failure": True, **keywords})
    results = run_all_cuts(plugin, image, near=near, seed=seed, **keywords)
    different = [how for how, result in results.items() if result.differences(expected)]
    if not different:
        return expected
    if "whole" in different:
        raise AssertionError(
            "the plugin gives the same image, cut in the same way, different answers: it keeps state between runs "
            "(in a class or a module), or depends on a clock or on chance.\n"
            + _difference(expected, results["whole"], "the first time", "the second time")
        )
    # Take the way with the fewest cuts, then as few of these as show the difference.
    size = _size(image)
    cut = {describe(chunks, number): cuts_of(chunks, number, size) for chunks, number in ways(size, near, seed)}
    how = min(different, key=lambda way: len(cut[way]))
    cuts = cut[how]
    fewer, result = _fewer(plugin, image, cuts, expected, keywords)
    result = result or results[how]
    if len(fewer) <= SHOWN_CUTS:
        how = describe(Cuts(*fewer), 0)
    raise AssertionError(
        f"the answer depends on where the image is cut into chunks ({len(different)} of {len(results)} ways to cut it "
        f"gave another answer).\n{_difference(expected, result, 'whole', how)}{_around(image, how)}\n"
        "The length of chunks is not part of the contract, and a pattern may straddle two of them. Read with\n"
        "image.windows(size, overlap=N - 1), where N is the length in bytes of the longest pattern, or with\n"
        "image.read(n), which returns n bytes whatever the length of the chunks."
    )


def _readable_again(image: Any) -> Any:
    """Return `image` as a path or as bytes, which can be read repeatedly."""
    if isinstance(image, (str, bytes, os.PathLike)):
        return image
    return b"".join(piece for piece in Source(image).pieces(None, None) if isinstance(piece, bytes))


def _size(image: Any) -> int:
    return len(image) if isinstance(image, bytes) else os.stat(image).st_size


def cuts_of(chunks: ChunksLike, seed: int, size: int) -> list[int]:
    """Return the offsets at which an image of `size` bytes is cut."""
    choose = lengths(chunks, seed)
    cuts, offset = [], 0
    while choose is not None and offset < size:
        offset += choose(offset, size - offset)
        cuts.append(offset)
    return [cut for cut in cuts if cut < size]


def _fewer(
    plugin: Any, image: Any, cuts: list[int], expected: Result, keywords: dict[str, Any]
) -> tuple[list[int], Optional[Result]]:
    """Return as few of `cuts` as show a difference, and the result with these; None if all of them are needed.

    Leave out either half of the cuts, then each quarter, and so on (delta debugging, simplified).
    """
    different: Optional[Result] = None
    runs = MAX_RUNS_SANDBOX if keywords.get("sandbox") else MAX_RUNS
    step = (len(cuts) + 1) // 2
    while step and len(cuts) > 1:
        index = 0
        while index < len(cuts) and runs:
            runs -= 1
            fewer = cuts[:index] + cuts[index + step :]
            result = run(plugin, image, chunks=Cuts(*fewer), **{**keywords, "raise_on_failure": False})
            if result.differences(expected):
                cuts, different = fewer, result
            else:
                index += step
        step //= 2
    return cuts, different


def _difference(first: Result, second: Result, *ways: str) -> str:
    width = max(map(len, ways)) + 2
    return "".join(f"  {way + ':':{width}}{result!r}\n" for way, result in zip(ways, (first, second)))


def _around(image: Any, how: str) -> str:
    """Return a line with the bytes on both sides of a single cut."""
    text = how[len("cut at ") :]
    if not how.startswith("cut at") or not text.isdigit():
        return ""
    cut = int(text)
    if isinstance(image, bytes):
        left_side, right_side = image[max(0, cut - 16) : cut], image[cut : cut + 16]
    else:
        with open(image, "rb") as file:
            file.seek(max(0, cut - 16))
            left_side = file.read(min(16, cut))
            right_side = file.read(16)
    return f"  the bytes there: {left_side!r} | {right_side!r}\n"
