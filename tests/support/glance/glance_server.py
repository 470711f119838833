"""A real Glance: configured, started, killed, restarted with its data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from support.waiting import until

from .environments import Environment
from .glance_config import STORES, GlanceConfig, glance_conf
from .http import Api
from .keystone import Keystone
from .pipeline import paste_ini
from .processes import ServerProcess, free_port, is_free, run
from .state import GlanceFolders
from .wsgi_servers import command


class DatabaseServer(Protocol):
    """Where a Glance has its database."""

    def prepare(self, name: str, template: str, fill: Callable[[str], None]) -> str:
        """Create a database as `fill` fills the one of a URL, and return its URL. `template` names what it is like."""

    def url(self, name: str) -> str:
        """The URL of an existing database."""

    def drop(self, name: str) -> None:
        """Remove a database."""


class Glance:
    """A Glance. `folder` holds its configuration, stores, staging and log."""

    def __init__(
        self,
        config: GlanceConfig,
        folder: Path,
        database_server: DatabaseServer,
        keystone: Keystone,
        download_ports: tuple[int, ...] = (),
        first_host: Glance | None = None,
    ) -> None:
        """With `first_host`, a second host of the same cloud, with the database and the stores of the first."""
        self.config = config
        self.folder = folder
        self.folders = GlanceFolders(folder)
        self.environment = Environment(config.version)
        self.port = free_port()
        self._database_server = database_server
        self._keystone = keystone
        self._first_host = first_host
        self._database = first_host._database if first_host is not None else f"glance-{self.port}"
        self._download_ports = download_ports
        self._tokens: dict[str, str] = {}
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OS_GLANCE_CONFIG_DIR": str(folder),
            "PYTHONPATH": ":".join(map(str, config.python_path)),
            "PYTHONUNBUFFERED": "1",
            **config.environment,
        }
        self.process = ServerProcess(
            command(config.serving, self.environment, self.port), folder / "glance.log", self._env
        )

    def start(self) -> None:
        """Write the configuration, create the database and start. Raises DidNotStart."""
        for name in ("staging", "tasks", "locks"):
            (self.folder / name).mkdir(parents=True)
        if self._first_host is not None:
            (self.folder / "stores").symlink_to(self._first_host.folder / "stores")
            self._write(self._database_server.url(self._database))
        else:
            for store in STORES:
                (self.folder / "stores" / store).mkdir(parents=True)
            self._write(
                _database_of(self.config.version, self._database_server, self._env, self.folder, self._database)
            )
        self.process.start(self._is_ready)

    def restart(self) -> None:
        """Start again after stop() or kill(): the same port, configuration and data. Raises DidNotStart."""
        self.process.start(self._is_ready)

    def stop(self) -> None:
        """Stop it as an operator does. Idempotent."""
        self.process.stop()

    def kill(self) -> None:
        """kill -9, master and workers at once; returns when the port is free again. The kernel shows a process with
        threads as ended while some of them still are ending, and hold it."""
        self.process.kill()
        until("the port is free", lambda: is_free(self.port))

    def close(self) -> None:
        """Kill it, and drop its database."""
        self.process.kill()
        if self._first_host is None:
            self._database_server.drop(self._database)

    def api(self, user: str = "tenant") -> Api:
        """Its API, with the token of this user of Keystone."""
        if user not in self._tokens:
            self._tokens[user] = self._keystone.token(user)
        return Api(self.port, self._tokens[user])

    @property
    def log(self) -> str:
        """Its log."""
        return self.process.tail(10_000_000)

    def _write(self, database: str) -> None:
        conf = glance_conf(self.config, self.folder, self.port, database, self._keystone.url, self._download_ports)
        (self.folder / "glance-api.conf").write_text(conf)
        (self.folder / "glance-api-paste.ini").write_text(
            paste_ini(self.environment, self.config.filters, self.config.flavor)
        )

    def _is_ready(self) -> bool:
        try:
            return Api(self.port).request("GET", "/healthcheck", timeout=10).status == 200
        except OSError:
            return False


class StartGlance(Protocol):
    """The type of the fixture `start_glance`."""

    def __call__(self, config: GlanceConfig, first_host: Glance | None = None) -> Glance:
        """A Glance that answers; with `first_host`, a second host of the same cloud."""


def _database_of(version: str, server: DatabaseServer, env: dict[str, str], folder: Path, name: str) -> str:
    """A database with this version's tables."""

    def sync(url: str) -> None:
        (folder / "glance-manage.conf").write_text(f"[database]\nconnection = {url}\n")
        manage = Environment(version).program("glance-manage")
        run([manage, "--config-file", str(folder / "glance-manage.conf"), "db_sync"], env)

    return server.prepare(name, f"glance-template-{version}", sync)
