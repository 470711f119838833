"""The bwrap command of tier full: what the plugin sees of the file system, and the namespaces around it."""

from __future__ import annotations

import os
from collections.abc import Iterable

_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
"""What root's launcher needs to become somebody else; it keeps none of them."""

_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
"""Where executables look for their loader, through links that would not be made otherwise."""


def command(
    bwrap: str,
    paths: Iterable[str],
    *,
    own_user: bool,
    read_all: bool,
    info_fd: int,
) -> list[str]:
    """bwrap and its options, up to the command that is to be appended.

    `paths` become readable at their own places, links included. With `own_user` (the engine is root) there is
    no user namespace: the launcher drops root itself, after root has made the paths reachable.

    Not --die-with-parent: a bwrap that dies between making its child and letting it run leaves it waiting for ever.
    The launcher is process 1, and its end with the engine's is the end of the namespace.
    """
    words = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if own_user:
        words += ["--cap-drop", "ALL"]
        for capability in (*_CAPABILITIES, *(("CAP_DAC_READ_SEARCH",) if read_all else ())):
            words += ["--cap-add", capability]
    else:
        words += ["--unshare-user"]
    words += ["--hostname", "cage", "--as-pid-1", "--new-session", "--info-fd", str(info_fd)]
    tree = Tree()
    for path in (*paths, *_LOADERS):
        tree.add(path)
    words += tree.words
    words += ["--proc", "/proc", "--dir", "/dev", "--dev-bind", "/dev/null", "/dev/null"]
    words += ["--dev-bind", "/dev/urandom", "/dev/urandom", "--remount-ro", "/", "--chdir", "/"]
    return words


class Tree:
    """The options that make a set of host paths appear, each once, with the links that lead to them."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._made: set[str] = {"/"}
        self._bound: list[str] = []

    def add(self, path: str) -> None:
        """Make `path` readable. What it links to is bound, each link on the way is made again."""
        self._walk(os.path.abspath(path), 0)

    def _walk(self, path: str, depth: int) -> None:
        if depth > 40:  # as in path_resolution(7)
            return
        parts = path.strip("/").split("/")
        at = ""
        for index, part in enumerate(parts):
            at += "/" + part
            there = self._covered(at)
            if os.path.islink(at):
                target = os.readlink(at)
                if not there and at not in self._made:
                    self._made.add(at)
                    self.words += ["--symlink", target, at]
                beyond = os.path.join(os.path.dirname(at), target, *parts[index + 1 :])
                self._walk(os.path.normpath(beyond), depth + 1)
                return
            if not there and index < len(parts) - 1 and at not in self._made:
                self._made.add(at)
                self.words += ["--dir", at]  # 0755; what bwrap makes unasked copies a private mode
        if not self._covered(path) and os.path.exists(path):
            self._bound.append(path)
            self._made.add(path)
            self.words += ["--ro-bind", path, path]

    def _covered(self, path: str) -> bool:
        return any(path == bound or path.startswith(bound + "/") for bound in self._bound)
