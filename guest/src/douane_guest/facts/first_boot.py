"""What sets a guest up at its first start: cloud-init, ignition, cloudbase-init; and where they look for data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from douane_guest.guest import Guest
from douane_guest.tree import Tree, try_read
from douane_guest.volume import to_text

from . import TEXT

CLOUD_INIT = ("usr/bin/cloud-init", "usr/local/bin/cloud-init", "etc/cloud/cloud.cfg")
CLOUD_INIT_SETTINGS = ("etc/cloud/cloud.cfg", "etc/cloud/cloud.cfg.d/*.cfg")
CLOUD_INIT_OFF = "etc/cloud/cloud-init.disabled"
CLOUD_INIT_RAN = ("var/lib/cloud/instance", "var/lib/cloud/instances/*", "var/lib/cloud/sem/*")
SEEDS = "var/lib/cloud/seed/*"
IGNITION = ("usr/lib/dracut/modules.d/30ignition", "usr/lib/ignition", "usr/bin/ignition", "usr/libexec/ignition")
CLOUDBASE = ("Program Files/Cloudbase Solutions/Cloudbase-Init",)
LABELS = ("cidata", "config-2")
"""Of volumes with data for cloud-init: NoCloud's, and the config drive of OpenStack."""

_LIST = re.compile(r"^datasource_list\s*:[ \t]*(?:\[([^\]]*)\]|((?:\s*\n[ \t]*-[^\n]*)+))", re.MULTILINE)
_PLATFORM = re.compile(r"ignition\.platform\.id=([\w-]+)")


class CloudInit(NamedTuple):
    """cloud-init in a system."""

    enabled: bool
    """False: it is there, and switched off in the image."""

    data_sources: tuple[str, ...]
    """Where it looks for data, in this order; empty if the image does not say it, and the default list counts."""

    seeds: tuple[str, ...]
    """Folders with data in the image."""

    ran: bool
    """It has run before, so the image is of a machine that was in use."""


class Ignition(NamedTuple):
    """Ignition in a system."""

    platform: str
    """Whose data it asks for: ``openstack``; empty if the image does not say it."""

    will_run: bool
    """The image has the mark of a first start."""


def cloud_init_of(tree: Tree) -> CloudInit | None:
    """None if it is not installed."""
    if not any(tree.exists(path) for path in CLOUD_INIT):
        return None
    sources: tuple[str, ...] = ()
    for pattern in CLOUD_INIT_SETTINGS:
        for item in tree.glob(pattern):
            text = to_text(try_read(tree, item.path, TEXT) or b"")
            for inline, lines in _LIST.findall(text):
                words = inline.split(",") if inline else re.findall(r"-([^\n]*)", lines)
                sources = tuple(word.partition("#")[0].strip(" \t\n\"'") for word in words if word.strip())
    seeds = tuple(item.path for item in tree.glob(SEEDS))
    ran = any(tree.glob(pattern) for pattern in CLOUD_INIT_RAN)
    return CloudInit(not tree.exists(CLOUD_INIT_OFF), sources, seeds, ran)


def ignition_of(trees: Iterable[Tree]) -> Ignition | None:
    """`trees`: the system, and volumes that may be its /boot. None if it is not installed."""
    system, *others = trees
    if not any(system.exists(path) for path in IGNITION):
        return None
    platform, will_run = "", False
    for tree, boot in [(system, "boot/"), *((tree, "") for tree in others)]:
        will_run = will_run or tree.exists(f"{boot}ignition.firstboot")
        for pattern in (f"{boot}loader/entries/*.conf", f"{boot}grub*/grub.cfg"):
            for item in tree.glob(pattern):
                match = _PLATFORM.search(to_text(try_read(tree, item.path, TEXT) or b""))
                platform = platform or (match[1] if match else "")
    return Ignition(platform, will_run)


def has_cloudbase_init(tree: Tree) -> bool:
    """True if cloudbase-init, for Windows, is there."""
    return any(tree.exists(path) for path in CLOUDBASE)


def data_volumes(guest: Guest) -> list[str]:
    """The volumes with data for cloud-init, by name."""
    return [volume.name for volume in guest.volumes if volume.label.lower() in LABELS]
