"""One image, cut in many ways: the answer must be the same, as how long chunks are is not part of the contract."""

from __future__ import annotations

import os
import random
from typing import Any, Iterable, Iterator, Optional

from ._pieces import ChunksLike, Cuts, Source, lengths
from ._result import Result
from ._run import run

EVERY_BOUNDARY_BYTES = 256
"""An image up to this length is cut at every single place."""

LENGTHS = (1, 2, 3, 5, 7, 16, 63, 512, 513, 4096, 4097, 65536)
MOST_CHUNKS = 20_000
"""What is cut into more pieces takes too long."""

MOST_RUNS = 2000
MOST_RUNS_CAGED = 100
"""Runs after which no fewer cuts are looked for."""

SHOWN_CUTS = 20
SINGLE_CUTS = 64
RANDOM = 8


def run_all_cuts(
    plugin: Any, image: Any, *, near: Iterable[int] = (), seed: int = 0, **keywords: Any
) -> dict[str, Result]:
    """Run `plugin` on `image`, cut in many ways; the results by how it was cut, the whole first.

    It is cut byte by byte, into pieces of equal length, at single places, and at random. An image of up to 256 bytes is
    cut at every single place; a longer one at some of them, chosen by `seed` (an int), and around the offsets `near`:
    name those where something begins or ends that the plugin looks for. `image` and the other `keywords` are as for
    :func:`run`; `chunks` cannot be chosen. A failure is a result, never raised. Raises what :func:`run` does otherwise.
    """
    image = _readable_again(image)
    keywords["raise_on_failure"] = False
    return {
        describe(chunks, number): run(plugin, image, chunks=chunks, seed=number, **keywords)
        for chunks, number in ways(_size(image), near, seed)
    }


def ways(size: int, near: Iterable[int], seed: int) -> Iterator[tuple[ChunksLike, int]]:
    """The ways in which an image of `size` bytes is cut: `chunks` and `seed` for a run each."""
    yield None, seed
    for length in LENGTHS:
        if length < size and size // length <= MOST_CHUNKS:
            yield length, seed
    for place in sorted(single_cuts(size, near, seed)):
        yield Cuts(place), seed
    for number in range(RANDOM if size > 2 else 0):
        if size <= MOST_CHUNKS * 1000:
            yield "random", seed + number


def single_cuts(size: int, near: Iterable[int], seed: int) -> set[int]:
    """Places to cut at: all, or those around `near` and some at random."""
    if size <= EVERY_BOUNDARY_BYTES:
        return set(range(1, size))
    numbers = random.Random(seed)
    wanted = {place + by for place in near for by in range(-8, 9)}
    wanted |= {1, 2, 511, 512, 513, size // 2, size - 512, size - 2, size - 1}
    wanted |= {1 + int(numbers.random() * (size - 1)) for _ in range(SINGLE_CUTS)}
    return {place for place in wanted if 0 < place < size}


def describe(chunks: ChunksLike, seed: int) -> str:
    """How an image was cut, in words."""
    if chunks is None:
        return "whole"
    if isinstance(chunks, Cuts):
        return "cut at " + ", ".join(map(str, chunks.offsets))
    return f"random, seed={seed}" if chunks == "random" else f"pieces of {chunks}"


def assert_same_for_all_cuts(
    plugin: Any, image: Any, *, near: Iterable[int] = (), seed: int = 0, **keywords: Any
) -> Result:
    """Assert that the answer of `plugin` does not depend on where `image` is cut; return the result.

    The arguments are those of :func:`run_all_cuts`. Raises AssertionError that shows the smallest difference found, and
    how to mend it; and what :func:`run` raises, if the plugin fails on the image as a whole.
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
            "the plugin answers the same image, cut the same way, in different ways: it keeps something between runs "
            "(in a class or a module), or goes by a clock or by chance.\n"
            + _difference(expected, results["whole"], "the first time", "the second time")
        )
    # The one with the fewest cuts, then as few of these as show it.
    size = _size(image)
    chosen = [(_cuts_of(chunks, number, size), chunks, number) for chunks, number in ways(size, near, seed)]
    cuts, chunks, number = min((one for one in chosen if describe(*one[1:]) in different), key=lambda one: len(one[0]))
    how = describe(chunks, number)
    fewer, result = _fewer(plugin, image, cuts, expected, keywords)
    result = result or results[how]
    if len(fewer) <= SHOWN_CUTS:
        how = describe(Cuts(*fewer), 0)
    raise AssertionError(
        f"the answer depends on where the image is cut into chunks ({len(different)} of {len(results)} ways to cut it "
        f"gave another).\n{_difference(expected, result, 'whole', how)}{_around(image, how)}\n"
        "How long chunks are is not part of the contract, and what is looked for may straddle two of them. Read with\n"
        "image.windows(size, overlap=N - 1), where N is the length in bytes of the longest thing that is looked for,\n"
        "or with image.read(n), which gives n bytes however the chunks fall."
    )


def _readable_again(image: Any) -> Any:
    """A path or bytes, of whatever can be run on."""
    if isinstance(image, (str, bytes, os.PathLike)):
        return image
    return b"".join(piece for piece in Source(image).pieces(None, None) if isinstance(piece, bytes))


def _size(image: Any) -> int:
    return len(image) if isinstance(image, bytes) else os.stat(image).st_size


def _cuts_of(chunks: ChunksLike, seed: int, size: int) -> list[int]:
    """The offsets that an image is cut at."""
    choose = lengths(chunks, seed)
    cuts, at = [], 0
    while choose is not None and at < size:
        at += choose(at, size - at)
        cuts.append(at)
    return [cut for cut in cuts if cut < size]


def _fewer(
    plugin: Any, image: Any, cuts: list[int], expected: Result, keywords: dict[str, Any]
) -> tuple[list[int], Optional[Result]]:
    """As few of `cuts` as still show a difference, and the result then; None if it could not be shown with fewer.

    Half of them is left out, and the other half, then quarters, and so on (delta debugging, in short).
    """
    found: Optional[Result] = None
    left = MOST_RUNS_CAGED if keywords.get("sandbox") else MOST_RUNS
    step = (len(cuts) + 1) // 2
    while step and len(cuts) > 1:
        at = 0
        while at < len(cuts) and left:
            left -= 1
            fewer = cuts[:at] + cuts[at + step :]
            result = run(plugin, image, chunks=Cuts(*fewer), **{**keywords, "raise_on_failure": False})
            if result.differences(expected):
                cuts, found = fewer, result
            else:
                at += step
        step //= 2
    return cuts, found


def _difference(one: Result, other: Result, first: str, second: str) -> str:
    width = max(len(first), len(second)) + 2
    return f"  {first + ':':{width}}{one!r}\n  {second + ':':{width}}{other!r}\n"


def _around(image: Any, how: str) -> str:
    """The bytes on both sides of a single cut."""
    place = how[len("cut at ") :]
    if not how.startswith("cut at") or not place.isdigit():
        return ""
    at = int(place)
    if isinstance(image, bytes):
        before, after = image[max(0, at - 16) : at], image[at : at + 16]
    else:
        with open(image, "rb") as file:
            file.seek(max(0, at - 16))
            before = file.read(min(16, at))
            after = file.read(16)
    return f"  the bytes there: {before!r} | {after!r}\n"
