"""Measurements of `douane serve`: ``python -m bench serve``, each against something in the same run."""

from __future__ import annotations

from bench.harness import Row, Settings

from . import cut_uploads, kills, many_imports, refused_uploads, silent_uploads, stage_and_import

PARTS = (stage_and_import, cut_uploads, refused_uploads, silent_uploads, many_imports, kills)


def measure(settings: Settings) -> list[Row]:
    """The rows of all parts."""
    return [row for part in PARTS for row in part.measure(settings)]
