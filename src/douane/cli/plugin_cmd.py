"""`douane plugin`: what the author of a plugin needs."""

from __future__ import annotations

import click

from .plugin_describe_cmd import describe_
from .plugin_new_cmd import new
from .plugin_test_cmd import test


@click.group()
def plugin() -> None:
    """For the author of a plugin."""


for command in (new, describe_, test):
    plugin.add_command(command)
