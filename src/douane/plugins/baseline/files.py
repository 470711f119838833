"""What is looked at for each file: set-id bits, capabilities, labels, who may write; and files that lie anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from douane_plugin import GuestEntry, GuestRoot, Incomplete

from .leftovers import FOLDERS, folder_of
from .privileged import CAPABLE, SETUID, Paths
from .rules import FEDORA, WINDOWS, Finding
from .start import AUTORELABEL, selinux_mode
from .system import System

WITH_ATTRIBUTES = ("ext2", "ext3", "ext4", "xfs", "btrfs", "erofs", "squashfs")
CAPABILITY, LABEL = "security.capability", "security.selinux"
SET_ID, WRITABLE, STICKY, EXECUTABLE = 0o6000, 0o002, 0o1000, 0o111
EMPTY_AT_START = tuple(f"/{name}" for name in ("dev/", "proc/", "sys/", "run/", "tmp/", "lost+found"))
"""Where the guest mounts something else, or fsck puts what it finds: what is there has no label."""
SYSTEM_FOLDERS = ("/bin/", "/boot/", "/etc/", "/lib", "/opt/", "/root/", "/sbin/", "/usr/", "/var/")
FOR_ALL = tuple(f"/var/{name}/" for name in ("tmp", "crash", "lock", "run"))
"""Of `SYSTEM_FOLDERS`, where everybody may write."""
SWAP_AT, SWAP = 4086, b"SWAPSPACE2"
WINDOWS_SWAP = ("/pagefile.sys", "/swapfile.sys", "/hiberfil.sys")
ALIVE_EACH = 1000


class Files:
    """Walks over the files of a system once."""

    def __init__(
        self,
        system: System,
        rules: frozenset[str],
        setuid: list[str],
        capabilities: list[str],
        alive: Callable[[], None],
    ) -> None:
        """`rules`: those that do not allow everything."""
        self._system = system
        self._alive = alive
        self._setuid = Paths(SETUID[system.profile], setuid)
        self._capable = Paths(CAPABLE, capabilities)
        self._asks_capabilities = "capabilities" in rules
        self._asks_labels = "selinux-labels" in rules and _has_labels(system)
        self._swap = _swap_files(system)
        self._groups: dict[str, tuple[str, int]] = {}
        self._with_attributes = {
            volume.name for volume in system.guest.volumes if volume.system.name in WITH_ATTRIBUTES
        }
        self.count = 0

    def check(self, root: GuestRoot) -> Iterator[Finding]:
        """The findings in the files of `root`; labels, files that everybody may change, and those in a folder of
        leftovers are together."""
        for item in root.walk("/"):
            self.count += 1
            if not self.count % ALIVE_EACH:
                self._alive()
            kind, mode = item.kind, item.mode
            if kind == "link":
                continue
            if mode & WRITABLE and kind in ("file", "dir") and not (kind == "dir" and mode & STICKY):
                self._writable(item)
            if kind == "file":
                if mode & SET_ID and item.path not in self._setuid:
                    yield self._privileged("setuid", item, f"has set-id bits (mode {mode:04o})")
                yield from self._by_name(item)
            elif kind == "dir" and item.path.endswith("/.git") and item.path.startswith(("/root/", "/home/")):
                yield Finding("git-folders", _place(item), "is a repository of git; remove it")
            if self._asks_labels or (kind == "file" and mode & EXECUTABLE and self._asks_capabilities):
                yield from self._attributes(item)
        for group, (place, count) in self._groups.items():
            rule, sentence = FOLDERS.get(group) or (group, _SENTENCES[group])
            more = f"; and {count - 1} more" if count > 1 else ""
            yield Finding(rule, place, sentence + more)

    def _privileged(self, rule: str, item: GuestEntry, what: str) -> Finding:
        sentence = f"{what}, and is not on the list of such files; remove it, or its bits: chmod a-s"
        return Finding(rule, _place(item), sentence)

    def _attributes(self, item: GuestEntry) -> Iterator[Finding]:
        if item.volume not in self._with_attributes:
            return
        try:
            attributes = item.xattrs
        except Incomplete:
            return  # that is in the list of what could not be read
        if CAPABILITY in attributes and self._asks_capabilities and item.path not in self._capable:
            sentence = "has capabilities, and is not on the list of such files; remove them: setcap -r"
            yield Finding("capabilities", _place(item), sentence)
        if self._asks_labels and LABEL not in attributes and not item.path.startswith(EMPTY_AT_START):
            self._group("selinux-labels", item)

    def _writable(self, item: GuestEntry) -> None:
        if item.path.startswith(SYSTEM_FOLDERS) and not item.path.startswith(FOR_ALL):
            self._group("world-writable", item)

    def _group(self, group: str, item: GuestEntry) -> None:
        """`group`: a rule, or a folder of `FOLDERS`."""
        place, count = self._groups.get(group, (_place(item), 0))
        self._groups[group] = place, count + 1

    def _by_name(self, item: GuestEntry) -> Iterator[Finding]:
        path, size = item.path, item.size
        if not size:
            return
        name = path.rpartition("/")[2]
        if folder := folder_of(path):
            self._group(folder, item)
        if (name == "core" or (name.startswith("core.") and name[5:].isdigit())) and self._is_core(item):
            yield Finding("core-dumps", _place(item), "is the memory of a program that crashed; remove it")
        if self._is_swap(item, name):
            yield Finding("swap-files", _place(item), "holds memory of the builder; remove it")

    def _is_swap(self, item: GuestEntry, name: str) -> bool:
        if self._system.profile == WINDOWS:
            return item.path.lower() in WINDOWS_SWAP
        return item.path in self._swap or ("swap" in name and self._holds(item, SWAP_AT, SWAP))

    def _is_core(self, item: GuestEntry) -> bool:
        return self._holds(item, 0, b"\x7fELF") and self._holds(item, 16, b"\4\0")

    def _holds(self, item: GuestEntry, offset: int, signature: bytes) -> bool:
        if item.size < offset + len(signature):
            return False
        try:
            with item.open() as file:
                file.seek(offset)
                return file.read(len(signature)) == signature
        except Incomplete:
            return False


def _place(item: GuestEntry) -> str:
    return f"{item.volume}:{item.path}"


_SENTENCES = {
    "selinux-labels": "has no label of SELinux; label all files: setfiles",
    "world-writable": "can be changed by everybody; run chmod o-w",
}


def _has_labels(system: System) -> bool:
    """Whether files need a label: SELinux is on, and the first start does not make them."""
    mode = selinux_mode(system) or ("enforcing" if system.profile == FEDORA else "disabled")
    return mode != "disabled" and not system.tree.exists(AUTORELABEL)


def _swap_files(system: System) -> frozenset[str]:
    fields = [line.split() for line in system.lines("etc/fstab")]
    return frozenset(row[0] for row in fields if len(row) > 2 and row[2] == "swap" and row[0].startswith("/"))
