"""Passwords and keys that cloud-init brings at the first start: from its settings, seeds, and volumes with data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from douane_guest.facts.first_boot import CLOUD_INIT_SETTINGS, SEEDS, data_volumes

from .rules import Finding
from .system import System, item_place

IN_VOLUME = ("*-data", "openstack/*/*", "ec2/*/*")
"""NoCloud's files, and those of a config drive."""

GZIP = "\x1f\udc8b"
"""How a text begins, by surrogateescape, that cloud-init unpacks."""

_LOGIN = re.compile(
    r"""(?<![\w-])["']?(
        ssh[_-]authorized[_-]keys|ssh[_-]import[_-]id|public[_-]keys|chpasswd
        |(?:hashed[_-]|plain[_-]text[_-])?passwd|password
    )["']?[ \t]*:(?![ \t]*(?:\{[ \t]*expire|\[\]|\{\}|null|~|false))""",
    re.IGNORECASE | re.VERBOSE,
)


def check_cloud_init(system: System) -> Iterator[Finding]:
    """What would let somebody in."""
    yield from _in_files(system, (*CLOUD_INIT_SETTINGS, f"{SEEDS}/*"))
    for name in data_volumes(system.guest):
        yield from _in_files(System(system.guest, system.guest.tree(name), system.profile), IN_VOLUME)


def _in_files(system: System, patterns: tuple[str, ...]) -> Iterator[Finding]:
    for item in system.items(*patterns):
        matches = (_LOGIN.search(line) for line in system.lines(item.path))
        word = next((match[1] for match in matches if match), "")
        if system.text(item.path).startswith(GZIP):
            word = "compressed data"
        if word:
            sentence = f"has {word}, by which cloud-init lets somebody in; remove it, the tenant's data bring it"
            yield Finding("cloud-init-logins", item_place(item), sentence)
