"""What the engine hands to a plugin as open descriptors: grants and scratch files."""

from __future__ import annotations

import os

from ._granted import GrantedFile, GrantedFolder
from ._scratch import Scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Handed:
    """The grants and scratch files of a LOAD frame, opened when the plugin asks for them."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._targets: dict[str, Any] = spec.get("grants", {})
        self._room: Any = spec.get("scratch")
        self._grants: dict[str, Any] = {}
        self._scratch: tuple[Scratch, ...] = ()

    def grant(self, name: str) -> Any:
        """Return the file, folder or socket of the grant `name`. Raises LookupError."""
        if name not in self._targets:
            names = ", ".join(self._targets) or "nothing"
            raise LookupError(f"the operator's configuration grants {names} to this plugin, not {name!r}")
        if name not in self._grants:
            target = self._targets[name]
            if target["kind"] == "socket":
                from ._granted_socket import open_granted_socket

                self._grants[name] = open_granted_socket(name, target)
            elif target["kind"] == "dir":
                self._grants[name] = GrantedFolder(name, target["path"])
            else:
                self._grants[name] = GrantedFile(target["fd"], name, target.get("path"))
        return self._grants[name]

    @property
    def scratch(self) -> tuple[Scratch, ...]:
        """The scratch files. Raises LookupError if there are none."""
        if not self._room:
            raise LookupError(
                "the operator's configuration gives this plugin no scratch files; add a line such as scratch = '20GiB'"
            )
        if not self._scratch:
            self._scratch = tuple(Scratch(fd, self._room["bytes"]) for fd in self._room["fds"])
        return self._scratch

    def close_grants(self) -> None:
        """Close the files and sockets of all grants, opened or not."""
        for name, target in self._targets.items():
            if "fd" not in target:
                continue
            if name in self._grants:
                self._grants[name].close()
            else:
                os.close(target["fd"])
            if target.get("connect_fd") is not None:
                os.close(target["connect_fd"])
