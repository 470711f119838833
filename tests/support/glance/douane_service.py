"""A real `douane serve` with a real Keystone, for unchanged clients."""

from __future__ import annotations

import os
from pathlib import Path

from .environments import ROOT
from .http import Api
from .keystone import PASSWORD, Keystone
from .processes import ServerProcess, answers, free_port

DOUANE = ROOT / ".venv" / "bin" / "douane"
"""Of the environment that `make setup` makes: those of Glance lack the extra `serve`."""


class DouaneService:
    """A service in `folder`, with the stores `fast` and `second`."""

    def __init__(
        self, folder: Path, plan: str, keystone: Keystone | None, *, download_port: int = 80, serve: str = ""
    ) -> None:
        """`plan` is the part of the configuration before ``[serve]``, and `serve` lines in that table. Images may be
        downloaded from `download_port` of this host."""
        self.folder = folder
        self.port = free_port()
        self._keystone = keystone
        (folder / "password").write_text(PASSWORD)
        identity = "" if keystone is None else _keystone_table(folder, keystone)
        (folder / "douane.toml").write_text(
            f"{plan}\n[serve]\n{serve}\n"
            f'[serve.stores.fast]\nurl = "file:{folder}/fast"\ndefault = true\n'
            f'[serve.stores.second]\nurl = "file:{folder}/second"\n'
            f'[serve.web_download]\nallow = ["127.0.0.0/8"]\nports = [{download_port}]\n'
            f"{identity}"
        )
        words = ("--home", str(folder / "home"), "--listen", f"127.0.0.1:{self.port}")
        self.process = ServerProcess(
            [str(DOUANE), "serve", *words, "--config", str(folder / "douane.toml")],
            folder / "serve.log",
            {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        )

    def start(self) -> None:
        """Start it, and publish it in Keystone's catalog."""
        self.process.start(lambda: answers("127.0.0.1", self.port) and Api(self.port).request("GET", "/").status == 300)
        if self._keystone is not None:
            self._keystone.publish(self.port)

    def api(self, user: str | None = "tenant") -> Api:
        """Its API, for this user; None: without a token."""
        token = self._keystone.token(user) if self._keystone is not None and user is not None else None
        return Api(self.port, token)

    def data(self, image: str, store: str = "fast") -> bytes:
        """The bytes of an image, as they are in a store."""
        return (self.folder / store / "images" / image).read_bytes()

    def log(self) -> str:
        """The end of its log."""
        return self.process.tail()

    def close(self) -> None:
        """End it."""
        self.process.stop()


def _keystone_table(folder: Path, keystone: Keystone) -> str:
    return (
        f'[serve.keystone]\nauth_url = "{keystone.url}"\nusername = "service"\nproject = "service"\n'
        f'password_file = "{folder}/password"\nregion = "RegionOne"\n'
    )
