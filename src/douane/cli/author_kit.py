"""The author's kit: the distribution douane-kit, which only authors of plugins install."""

from __future__ import annotations

import importlib.util

from douane.errors import KitMissing


def require_kit(command: str) -> None:
    """Raise KitMissing unless douane-kit is installed; `command` is the one that needs it."""
    if importlib.util.find_spec("douane_kit") is None:
        raise KitMissing(
            f"`{command}` needs the distribution douane-kit, which is not installed: run `pip install 'douane[author]'`"
        )
