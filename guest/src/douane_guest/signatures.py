"""Bytes at a fixed place, by which a module is asked what a source is."""

from __future__ import annotations

from .source import Source

Signature = tuple[int, tuple[bytes, ...]]
"""An offset, and the bytes of which one is there."""


def may_be(source: Source, signature: Signature | None) -> bool:
    """False if the source has not the bytes; True without a signature."""
    if signature is None:
        return True
    offset, choices = signature
    size = max(map(len, choices))
    return offset + size <= source.size and source.pread(offset, size).startswith(choices)
