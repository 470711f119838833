"""The bwrap command of tier full: the namespaces, and the part of the file system that the plugin sees."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from .base_files import DEVICES, LOCAL_TIME
from .spec import Temporary

_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
"""What the launcher needs to change from root to another user; it keeps none of them."""

_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
"""Where executables look for their loader; these may be links that nothing else would create."""


def command(
    bwrap: str,
    paths: Iterable[str],
    *,
    own_user: bool,
    read_all: bool,
    info_fd: int,
    temporary: Temporary = "none",
    folder: str = "",
    files: Mapping[str, int] = {},
    granted: Iterable[str] = (),
) -> list[str]:
    """bwrap and its options; append the command.

    `paths` become readable at their own places, including links. `temporary` is the kind of the private /tmp: if it is
    on the disk, `folder` is bound there; a tmpfs is bounded by the launcher, which keeps CAP_SYS_ADMIN until then.
    `files` are descriptors of what is copied to the paths. `granted` are paths like the others, except that they may
    have vanished: the launcher looks. With `own_user` (the engine is root) there is no user
    namespace: the launcher gives up root itself, after root has made the paths reachable.

    Not --die-with-parent: a bwrap that dies between creating its child and letting it run leaves the child waiting for
    ever. The launcher is process 1 and ends with the engine, and the namespace ends with the launcher.
    """
    words = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    capabilities = ["CAP_SYS_ADMIN"] if temporary == "memory" else []
    if own_user:
        words += ["--cap-drop", "ALL"]
        # The folder at /tmp is closed to all but the plugin's user; the interpreter may be below /tmp.
        passes = read_all or temporary == "disk"
        capabilities += [*_CAPABILITIES, *(("CAP_DAC_READ_SEARCH",) if passes else ())]
    else:
        words += ["--unshare-user"]
    for capability in capabilities:
        words += ["--cap-add", capability]
    words += ["--hostname", "sandbox", "--as-pid-1", "--new-session", "--info-fd", str(info_fd)]
    if temporary == "memory":
        words += ["--tmpfs", "/tmp"]  # noqa: S108  # private
    elif temporary == "disk":
        words += ["--bind", folder, "/tmp"]  # noqa: S108  # private
    tree = Tree()
    for path in (*paths, *_LOADERS):
        tree.add(path)
    for path in granted:
        tree.add(path, option="--ro-bind-try")
    words += tree.words
    words += ["--proc", "/proc", "--dir", "/dev"]
    for path in DEVICES:
        words += ["--dev-bind", path, path]
    for path, target in (*_DEVICE_LINKS, LOCAL_TIME):
        words += ["--symlink", target, path]
    if temporary != "none":
        words += ["--symlink", "/tmp", "/dev/shm"]  # noqa: S108  # private: POSIX semaphores and shared memory
    for path, fd in files.items():
        words += ["--file", str(fd), path]
    words += ["--remount-ro", "/", "--chdir", "/"]
    return words


_DEVICE_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    *((f"/dev/{name}", f"/proc/self/fd/{number}") for number, name in enumerate(("stdin", "stdout", "stderr"))),
)


class Tree:
    """The options that make host paths appear, each once, with the links that lead to them."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._created: set[str] = {"/"}
        self._bound: list[str] = []

    def add(self, path: str, option: str = "--ro-bind") -> None:
        """Make `path` readable: bind the target of its links by `option`, and create each link on the way."""
        self._walk(os.path.abspath(path), option, 0)

    def _walk(self, path: str, option: str, depth: int) -> None:
        if depth > 40:  # as in path_resolution(7)
            return
        parts = path.strip("/").split("/")
        prefix = ""
        for index, part in enumerate(parts):
            prefix += "/" + part
            is_visible = self._covered(prefix)
            if os.path.islink(prefix):
                target = os.readlink(prefix)
                if not is_visible and prefix not in self._created:
                    self._created.add(prefix)
                    self.words += ["--symlink", target, prefix]
                resolved = os.path.join(os.path.dirname(prefix), target, *parts[index + 1 :])
                self._walk(os.path.normpath(resolved), option, depth + 1)
                return
            if not is_visible and index < len(parts) - 1 and prefix not in self._created:
                self._created.add(prefix)
                self.words += ["--dir", prefix]  # mode 0755; folders that bwrap creates unasked copy a private mode
        if not self._covered(path) and os.path.exists(path):
            self._bound.append(path)
            self._created.add(path)
            self.words += [option, path, path]

    def _covered(self, path: str) -> bool:
        return any(path == bound or path.startswith(bound + "/") for bound in self._bound)
