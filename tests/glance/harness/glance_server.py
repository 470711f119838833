"""A real Glance: written down, started, killed, started again with the data it had."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from .environments import Environment
from .glance_config import STORES, GlanceConfig, glance_conf
from .http import Api
from .keystone import Keystone
from .pipeline import paste_ini
from .postgres import Postgres
from .processes import ServerProcess, free_port, is_free, run
from .state import GlanceFolders
from .waiting import until
from .wsgi_servers import command


class Glance:
    """One Glance of one configuration. `folder` holds its configuration, stores, staging and log."""

    def __init__(
        self,
        config: GlanceConfig,
        folder: Path,
        postgres: Postgres,
        keystone: Keystone,
        download_ports: tuple[int, ...] = (),
        beside: Glance | None = None,
    ) -> None:
        """`beside` another: a second host of the same cloud, with its database and its stores."""
        self.config = config
        self.folder = folder
        self.folders = GlanceFolders(folder)
        self.environment = Environment(config.version)
        self.port = free_port()
        self._postgres = postgres
        self._keystone = keystone
        self._beside = beside
        self._database = beside._database if beside is not None else f"glance-{self.port}"
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
        """Write the configuration, make the database and start. Raises DidNotStart."""
        for name in ("staging", "tasks", "locks"):
            (self.folder / name).mkdir(parents=True)
        if self._beside is not None:
            (self.folder / "stores").symlink_to(self._beside.folder / "stores")
            self._write(self._postgres.url(self._database))
        else:
            for store in STORES:
                (self.folder / "stores" / store).mkdir(parents=True)
            self._write(_database_of(self.config.version, self._postgres, self._env, self.folder, self._database))
        self.process.start(self._is_ready)

    def restart(self) -> None:
        """Start again after stop() or kill(): the same port, configuration and data. Raises DidNotStart."""
        self.process.start(self._is_ready)

    def stop(self) -> None:
        """End it as an operator does. Idempotent."""
        self.process.stop()

    def kill(self) -> None:
        """kill -9, master and workers at once; returns when the port is free again. The kernel shows a process with
        threads as ended while some of them still are ending, and hold it."""
        self.process.kill()
        until("the port is free", lambda: is_free(self.port))

    def close(self) -> None:
        """End it, at once, and drop its database."""
        self.process.kill()
        if self._beside is None:
            self._postgres.drop(self._database)

    def api(self, user: str = "tenant") -> Api:
        """Its API, as this user of Keystone's sees it."""
        if user not in self._tokens:
            self._tokens[user] = self._keystone.token(user)
        return Api(self.port, self._tokens[user])

    @property
    def log(self) -> str:
        """All that it has logged."""
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
    """What the fixture `start_glance` is."""

    def __call__(self, config: GlanceConfig, beside: Glance | None = None) -> Glance:
        """One that answers; a second host of the cloud of `beside`, if that is given."""


_templates: set[str] = set()


def _database_of(version: str, postgres: Postgres, env: dict[str, str], folder: Path, name: str) -> str:
    """A database with this version's tables: a copy of one that db_sync made once for the session."""
    template = f"glance-template-{version}"
    if template not in _templates:
        url = postgres.create(template)
        (folder / "glance-manage.conf").write_text(f"[database]\nconnection = {url}\n")
        manage = Environment(version).program("glance-manage")
        run([manage, "--config-file", str(folder / "glance-manage.conf"), "db_sync"], env)
        _templates.add(template)
    return postgres.create(name, template)
