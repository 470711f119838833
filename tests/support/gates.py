"""A gate in the middle of an import: a plugin that waits there until the test lets it go on."""

from __future__ import annotations

import socket
from pathlib import Path

from support.processes import SECONDS
from support.program import PLUGINS


class Gate:
    """Put :attr:`config` in a plan; :meth:`wait` until the plugin is there, :meth:`open` to let it go on."""

    def __init__(self, place: Path, name: str = "gate", rest: str = "") -> None:
        address = place / name
        self._server = socket.socket(socket.AF_UNIX)
        self._server.settimeout(SECONDS)
        self._server.bind(str(address))
        self._server.listen()
        self._peer: socket.socket | None = None
        self.config = place / f"{name}.toml"
        self.config.write_text(
            '[[plugin]]\nname = "format"\nuse = "format"\n'
            f'[[plugin]]\nname = "gate"\nuse = "{PLUGINS}/gate.py:Gate"\nstall = "2m"\n'
            f'grants = {{ gate = "unix:{address}" }}\n{rest}'
        )

    def wait(self) -> None:
        """Until a plugin has seen the first bytes of its image, and none of the last ones."""
        self._peer, _ = self._server.accept()
        self._peer.settimeout(SECONDS)
        assert self._peer.recv(5) == b"here\n", "the program ended before it came to the gate"

    def open(self) -> None:
        """Let it go on."""
        assert self._peer is not None
        self._peer.sendall(b"go on")

    def close(self) -> None:
        """Nobody can come any more, and whoever waits is refused."""
        if self._peer is not None:
            self._peer.close()
        self._server.close()
