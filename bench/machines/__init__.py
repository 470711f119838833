"""Measurements of many machines and long lines: ``python -m bench machines``, each against another in the same run."""

from __future__ import annotations

from collections.abc import Callable

from bench.harness import Row, Settings

from . import broken_lines, chaos, claims, large_site, object_store, rbd_against_import, two_cores

PARTS: dict[str, Callable[[Settings], list[Row]]] = {
    "machines-broken-lines": broken_lines.measure,
    "machines-rbd": rbd_against_import.measure,
    "machines-object-store": object_store.measure,
    "machines-claims": claims.measure,
    "machines-cores": two_cores.measure,
    "machines-chaos": chaos.measure,
    "machines-site": large_site.measure,
}
"""Each can be measured by its own name, too."""


def measure(settings: Settings) -> list[Row]:
    """The rows of all parts."""
    return [row for part in PARTS.values() for row in part(settings)]
