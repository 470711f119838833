"""Which volumes hold a system, and what that system mounts: /etc/fstab, os-release, Windows' registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .errors import Broken, GuestError
from .filesystems.base import FOLDER
from .tree import Mount, Tree
from .unread import UnreadParts
from .volume import Volume, to_bytes, to_text

FSTAB = 1 << 20
MAX_LINES = 1000
MAX_SUBVOLUMES = 64
WINDOWS = "Windows/System32/config/SOFTWARE"
SIGNS = ("etc/os-release", "usr/lib/os-release", "etc/fstab", "etc/passwd", WINDOWS)
"""Any of these makes a folder the root of a system. With a /usr of its own, os-release may lie in that."""
_PARTITION = re.compile(r"/dev/(?:[shv]d[a-z]{1,2}|xvd[a-z]{1,2}|(?:nvme\d+n\d+|mmcblk\d+)p)(\d+)")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class FstabLine(NamedTuple):
    """A line of /etc/fstab."""

    device: str
    path: bytes
    options: dict[str, str]


def find_roots(volumes: list[Volume], unread: UnreadParts) -> list[Tree]:
    """A tree for each system, with what it mounts."""
    roots = []
    for volume in volumes:
        try:
            for root in _candidates(volume):
                _mount_all(root, volumes, unread)
                roots.append(root)
        except GuestError as error:
            unread.add_error(volume.name, error)
    return roots


def tree_of(volume: Volume, base: bytes = b"") -> Tree:
    """A volume, or a folder of it, as a tree. Raises FileNotFoundError if there is no such folder."""
    root = Tree(Mount(volume, b"", volume.system.node(volume.top)))
    item = root.stat(to_text(base))
    return Tree(Mount(volume, to_bytes(item.path.lstrip("/")), item.node))


def _candidates(volume: Volume) -> Iterator[Tree]:
    """The folder that is mounted by default; else subvolumes of btrfs, and deployments of OSTree."""
    tree = tree_of(volume, volume.default)
    if _is_system(tree):
        yield tree
        return
    tree = tree_of(volume)
    bases = [item.path for item in tree.glob("ostree/deploy/*/deploy/*") if item.node.kind == FOLDER]
    if volume.filesystem == "btrfs":
        bases += [item.path for item in tree.items() if item.node.kind == FOLDER]
    for base in bases[:MAX_SUBVOLUMES]:
        candidate = tree_of(volume, to_bytes(base))
        if _is_system(candidate):
            yield candidate


def _is_system(tree: Tree) -> bool:
    return any(tree.exists(sign) for sign in SIGNS)


def _mount_all(root: Tree, volumes: list[Volume], unread: UnreadParts) -> None:
    try:
        text = root.read("etc/fstab", FSTAB)
    except OSError:
        return
    except GuestError as error:
        unread.add_error(f"{root.volume.name}:/etc/fstab", error)
        return
    for line in sorted(parse_fstab(text), key=lambda line: line.path.count(b"/")):
        volume = None
        try:
            volume = volume_of(line.device, volumes)
            if volume is None or (volume is root.volume and "subvol" not in line.options):
                continue
            root.mount(line.path, _mount(volume, line))
        except OSError:
            continue  # The folder is not in the volume: the guest cannot mount it either.
        except GuestError as error:
            unread.add_error(volume.name if volume else f"{root.volume.name}:/etc/fstab", error)


def _mount(volume: Volume, line: FstabLine) -> Mount:
    base = to_bytes(line.options["subvol"]).strip(b"/") if "subvol" in line.options else volume.default
    item = tree_of(volume).stat(to_text(base))
    return Mount(volume, to_bytes(item.path.lstrip("/")), item.node)


def parse_fstab(text: bytes) -> list[FstabLine]:
    """The lines that mount a device below the root."""
    lines = []
    for row in text.split(b"\n")[:MAX_LINES]:
        fields = [_ESCAPED.sub(_character, field) for field in row.split()]
        if len(fields) < 2 or fields[0].startswith(b"#") or not fields[1].startswith(b"/"):
            continue
        path = b"/".join(part for part in fields[1].split(b"/") if part not in (b"", b".", b".."))
        options = to_text(fields[3]).split(",") if len(fields) > 3 else []
        if not path or "bind" in options or "rbind" in options:
            continue
        pairs = dict(option.partition("=")[::2] for option in options)
        lines.append(FstabLine(to_text(fields[0]), path, pairs))
    return lines


def _character(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8) & 0xFF])


def volume_of(device: str, volumes: list[Volume]) -> Volume | None:
    """The volume that a line means; None if it is not on this disk. Raises Broken if it means several."""
    kind, _, value = device.partition("=")
    value = value.strip("\"'")
    if not value and device.startswith("/dev/disk/by-"):
        kind, _, value = device.removeprefix("/dev/disk/by-").partition("/")
    tests = {
        "uuid": lambda volume: volume.uuid.lower() == value.lower(),
        "label": lambda volume: volume.label == value,
        "partuuid": lambda volume: volume.partition_uuid.lower() == value.lower(),
        "partlabel": lambda volume: volume.partition_label == value,
    }
    if value and kind.lower() in tests:
        matches = [volume for volume in volumes if tests[kind.lower()](volume)]
    else:
        matches = [volume for volume in volumes if volume.name in _names_of(device)]
    if len(matches) > 1:
        names = " and ".join(volume.name for volume in matches[:4])
        raise Broken(f"/etc/fstab mounts {device!r}, which are several volumes: {names}")
    return matches[0] if matches else None


def _names_of(device: str) -> set[str]:
    """The names that a device has here."""
    partition = _PARTITION.fullmatch(device)
    if partition:
        return {f"p{int(partition[1])}"}
    if device.startswith("/dev/mapper/"):
        # The device mapper doubles each dash of a name, and sets a single one between group and volume.
        words = device.removeprefix("/dev/mapper/").replace("--", "\0").split("-")
        return {"/".join(words).replace("\0", "-")} if len(words) == 2 else set()
    name = device.removeprefix("/dev/")
    return {name, f"md/{name.removeprefix('md')}"} if name != device else set()
