"""Plugins that fail with an exception, each in its own place."""

from __future__ import annotations

import json
from collections.abc import Iterator

from douane_plugin import Image, Inspector, Transform


def rule(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RuntimeError("a secret of the site") from error


class InHelper(Inspector):
    """Fails in a function of its own, because a library did."""

    def inspect(self, image: Image) -> None:
        image.read(1_000_003)
        rule(b"{ not JSON")


class Misuses(Inspector):
    """Asks the contract for what it does not give."""

    def inspect(self, image: Image) -> None:
        for _ in image:
            image.read(-1)


class AtRandom(Inspector):
    """Fails where it has sought to."""

    reads = "random"

    def inspect(self, image: Image) -> None:
        image.file.seek(7_000_000)
        raise KeyError("a secret of the site")


class Half(Transform):
    """Fails in the middle."""

    def transform(self, image: Image) -> Iterator[bytes]:
        yield image.read(2_000_000)
        raise OSError("a secret of the site")


class Mute(Inspector):
    """Raises what cannot even be told."""

    def inspect(self, image: Image) -> None:
        class Odd(Exception):
            def __str__(self) -> str:
                raise ValueError("a secret of the site")

        raise Odd


class InConstructor(Inspector):
    """Fails before there is an image, and not because of its configuration."""

    def __init__(self) -> None:
        raise OSError("a secret of the site")

    def inspect(self, image: Image) -> None:
        """Never."""
