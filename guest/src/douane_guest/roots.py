"""Which volumes hold a system, and what that system mounts: /etc/fstab, os-release, Windows' registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .errors import Broken, GuestError, TooMuch, Unsupported
from .filesystems.base import FOLDER
from .tree import Mount, Tree
from .unread import UnreadParts
from .volume import Volume, to_bytes, to_text

FSTAB = 1 << 20
MAX_LINES = 1000
"""Lines that mount something."""
MAX_SUBVOLUMES = 64
WINDOWS = "Windows/System32/config/SOFTWARE"
SIGNS = ("etc/os-release", "usr/lib/os-release", "etc/fstab", "etc/passwd", WINDOWS)
"""Any of these makes a folder the root of a system. With a /usr of its own, os-release may lie in that."""
_PARTITION = re.compile(r"/dev/(?:[shv]d[a-z]{1,2}|xvd[a-z]{1,2}|(?:nvme\d+n\d+|mmcblk\d+)p)(\d+)")
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_FAMILIES = (
    frozenset({"ext2", "ext3", "ext4"}),
    frozenset({"vfat", "fat", "msdos"}),
    frozenset({"ntfs", "ntfs3", "ntfs-3g", "fuseblk"}),
)
"""Types of which a driver mounts the others as well."""


class FstabLine(NamedTuple):
    """A line of /etc/fstab."""

    device: str
    path: bytes
    options: dict[str, str]
    kind: str = "auto"

    @property
    def at_boot(self) -> bool:
        """False for a line that waits for a person."""
        return "noauto" not in self.options or "x-systemd.automount" in self.options


def find_roots(volumes: list[Volume], unread: UnreadParts) -> list[Tree]:
    """A tree for each system, with what it mounts."""
    roots = []
    for volume in volumes:
        try:
            for root in _candidates(volume, unread):
                _mount_all(root, volumes, unread)
                roots.append(root)
        except GuestError as error:
            unread.add_error(volume.name, error)
        except OSError as error:
            unread.add(volume.name, Broken.code, f"a folder that must be there is not: {error}")
    return roots


def tree_of(volume: Volume, base: bytes = b"") -> Tree:
    """A volume, or a folder of it, as a tree. Raises FileNotFoundError if there is no such folder."""
    top = volume.system.node(volume.top)
    if top.kind != FOLDER:
        raise Broken(f"the root of the file system is no folder, but a {top.kind}")
    root = Tree(Mount(volume, b"", top))
    item = root.stat(to_text(base))
    if item.node.kind != FOLDER:
        raise Broken(f"{to_text(base)!r} is no folder, but a {item.node.kind}")
    return Tree(Mount(volume, to_bytes(item.path.lstrip("/")), item.node))


def _candidates(volume: Volume, unread: UnreadParts) -> Iterator[Tree]:
    """The folder that is mounted by default; else subvolumes of btrfs, and deployments of OSTree."""
    tree = tree_of(volume, volume.default)
    if _is_system(tree):
        yield tree
        return
    tree = tree_of(volume)
    bases = [item.path for item in tree.glob("ostree/deploy/*/deploy/*") if item.node.kind == FOLDER]
    if volume.filesystem == "btrfs":
        bases += [item.path for item in tree.items() if item.node.kind == FOLDER]
    if len(bases) > MAX_SUBVOLUMES:
        unread.add(f"{volume.name}: systems", TooMuch.code, f"more than {MAX_SUBVOLUMES} folders may hold a system")
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
    lines = parse_fstab(text)
    if len(lines) > MAX_LINES:
        why = f"it mounts more than the {MAX_LINES} volumes that are looked at"
        unread.add(f"{root.volume.name}:/etc/fstab", TooMuch.code, why)
    for line in sorted(lines[:MAX_LINES], key=lambda line: line.path.count(b"/")):
        volume = None
        try:
            volume = volume_of(line.device, volumes)
            _mount_line(root, line, volume)
        except OSError:
            continue  # The folder is not in the volume: the guest cannot mount it either.
        except GuestError as error:
            unread.add_error(volume.name if volume else f"{root.volume.name}:/etc/fstab", error)


def _mount_line(root: Tree, line: FstabLine, volume: Volume | None) -> None:
    """Mount what the guest mounts. Raises OSError if it cannot."""
    if not line.at_boot:
        return
    path = _mount_point(root, line.path)
    if "bind" in line.options or "rbind" in line.options:
        root.bind(path, line.device)
    elif line.kind == "overlay":
        raise Unsupported(f"/etc/fstab mounts an overlay at /{to_text(line.path)}, which is not read")
    elif volume is None:
        if line.device.startswith("/") and not line.device.startswith("/dev/") and root.exists(line.device):
            raise Unsupported(f"/etc/fstab mounts the file {line.device!r}, in which nothing is read")
    elif not _is_kind(volume.filesystem, line.kind):
        raise Broken(f"/etc/fstab mounts a {volume.filesystem} as {line.kind}, which the guest refuses")
    elif volume is not root.volume or line.options.keys() & {"subvol", "subvolid"}:
        root.mount(path, _mount(volume, line))


def _mount_point(root: Tree, path: bytes) -> bytes:
    """The folder to which the path leads, which is where mount(8) mounts. systemd makes one that is not there."""
    try:
        return to_bytes(root.stat(to_text(path)).path.lstrip("/"))
    except FileNotFoundError:
        return path


def _is_kind(filesystem: str, kind: str) -> bool:
    """False if the driver that fstab(5) asks for does not mount such a file system."""
    kinds = kind.split(",")
    if "auto" in kinds or kind.startswith("no") or filesystem in kinds:
        return True
    return any(filesystem in family and not family.isdisjoint(kinds) for family in _FAMILIES)


def _mount(volume: Volume, line: FstabLine) -> Mount:
    base = _base(volume, line)
    item = tree_of(volume).stat(to_text(base))
    return Mount(volume, to_bytes(item.path.lstrip("/")), item.node)


def _base(volume: Volume, line: FstabLine) -> bytes:
    """The path in the volume that is mounted."""
    if "subvol" in line.options:
        return to_bytes(line.options["subvol"]).strip(b"/")
    number = line.options.get("subvolid", "")
    subvolumes = getattr(volume.system, "subvolumes", None)
    if not number or subvolumes is None:
        return volume.default
    for subvolume in subvolumes():
        # The kernel takes 0 for the top level, whose number is 5 (fs/btrfs/super.c).
        if str(subvolume.number) == number or (number == "0" and not subvolume.path):
            path: bytes = subvolume.path
            return path
    raise FileNotFoundError(f"there is no subvolume {number}")


def parse_fstab(text: bytes) -> list[FstabLine]:
    """The lines that mount something below the root."""
    lines = []
    for row in text.split(b"\n"):
        fields = [_ESCAPED.sub(_character, field) for field in row.split()]
        if len(fields) < 2 or fields[0].startswith(b"#") or not fields[1].startswith(b"/"):
            continue
        path = b"/".join(part for part in fields[1].split(b"/") if part not in (b"", b".", b".."))
        options = to_text(fields[3]).split(",") if len(fields) > 3 else []
        if not path:
            continue
        pairs = dict(option.partition("=")[::2] for option in options)
        kind = to_text(fields[2]) if len(fields) > 2 else "auto"
        lines.append(FstabLine(to_text(fields[0]), path, pairs, kind))
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
