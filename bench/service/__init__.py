"""Measurements of `douane serve`: ``python -m bench serve``, each against something in the same run."""

from __future__ import annotations

from collections.abc import Callable

from bench.harness import Row, Settings

from . import against_glance, cut_uploads, kills, many_imports, refused_uploads, silent_uploads, stage_and_import

PARTS: dict[str, Callable[[Settings], list[Row]]] = {
    "serve-import": stage_and_import.measure,
    "serve-glance": against_glance.measure,
    "serve-cut": cut_uploads.measure,
    "serve-refused": refused_uploads.measure,
    "serve-silent": silent_uploads.measure,
    "serve-many": many_imports.measure,
    "serve-kills": kills.measure,
}
"""Each can be measured by its own name, too."""


def measure(settings: Settings) -> list[Row]:
    """The rows of all parts."""
    return [row for part in PARTS.values() for row in part(settings)]
