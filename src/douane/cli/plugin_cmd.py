"""`douane plugin`: the commands for plugin authors. Some need the distribution douane-kit."""

from __future__ import annotations

import importlib.util

import click

from douane.errors import KitMissing

from .lazy_group import LazyGroup


@click.group(
    cls=LazyGroup,
    places={
        "describe": "plugin_describe_cmd:describe_",
        "new": "plugin_new_cmd:new",
        "test": "plugin_test_cmd:test",
    },
)
def plugin() -> None:
    """Write, describe and test plugins."""


def require_kit(command: str) -> None:
    """Raise KitMissing, which names `command`, unless douane-kit is installed."""
    if importlib.util.find_spec("douane_kit") is None:
        raise KitMissing(
            f"`{command}` needs the distribution douane-kit, which is not installed: "
            "run `pip install ./kit` in a checkout of Douane"
        )
