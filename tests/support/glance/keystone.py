"""A real Keystone for all tests of a session, with their users."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from .environments import Environment
from .http import Api
from .postgres import Postgres
from .processes import ServerProcess, answers, free_port, run
from .wsgi_servers import CLOSE

PASSWORD = "secret"  # of every user: these servers listen on loopback, while the tests run


@dataclass(frozen=True)
class Tenant:
    """A user in a project of the same name."""

    name: str
    project_id: str
    auth_url: str

    @property
    def credentials(self) -> dict[str, str]:
        """The OS_* environment variables of clients."""
        return {
            "OS_AUTH_URL": self.auth_url,
            "OS_USERNAME": self.name,
            "OS_PASSWORD": PASSWORD,
            "OS_PROJECT_NAME": self.name,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_REGION_NAME": "RegionOne",
        }


class Keystone:
    """Keystone under uwsgi; the data is in PostgreSQL, the keys in `folder`."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self._folder = folder
        self._postgres = postgres
        self._environment = Environment("keystone")
        self.port = free_port()
        self._env = {"PATH": os.environ["PATH"], "OS_KEYSTONE_CONFIG_DIR": str(folder), "HOME": str(folder)}
        uwsgi = [
            *(self._environment.program("uwsgi"), "--http-socket", f"127.0.0.1:{self.port}"),
            *("--module", "keystone.wsgi.api:application", "--master", "--processes", "1", "--threads", "4"),
            *("--enable-threads", "--lazy-apps", "--need-app", "--die-on-term", "--buffer-size", "65535", *CLOSE),
        ]
        self.process = ServerProcess(uwsgi, folder / "keystone.log", self._env)

    @property
    def url(self) -> str:
        """The authentication URL."""
        return f"http://127.0.0.1:{self.port}/v3"

    def start(self) -> None:
        """Create its data, start it, and add the users `tenant`, `other` and `service` (Glance's own) to `admin`."""
        for name in ("fernet", "credential"):
            (self._folder / name).mkdir(mode=0o700)
        (self._folder / "keystone.conf").write_text(
            f"[database]\nconnection = {self._postgres.create('keystone')}\n"
            "[token]\nprovider = fernet\nexpiration = 86400\n"
            f"[fernet_tokens]\nkey_repository = {self._folder}/fernet\n"
            f"[credential]\nkey_repository = {self._folder}/credential\n"
            "[identity]\npassword_hash_rounds = 4\n"
        )
        owner = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        keys = ("--keystone-user", owner[0], "--keystone-group", owner[1])
        self._manage("db_sync")
        self._manage("fernet_setup", *keys)
        self._manage("credential_setup", *keys)
        urls = [word for kind in ("public", "internal", "admin") for word in (f"--bootstrap-{kind}-url", self.url)]
        self._manage("bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", "RegionOne", *urls)
        self.process.start(lambda: answers("127.0.0.1", self.port))
        admin = Api(self.port, self.token("admin"))
        for name, roles in (("tenant", "member reader"), ("other", "member reader"), ("service", "service admin")):
            self._add(admin, name, roles.split())
        service = admin.must("POST", "/v3/services", {"service": {"type": "image", "name": "glance"}})
        self._service = service["service"]["id"]

    def stop(self) -> None:
        """Kill it."""
        self.process.kill()

    def tenant(self, name: str) -> Tenant:
        """`tenant`, `other` (members of projects of their own) or `admin`."""
        reply = self._authenticate(name)
        return Tenant(name, reply["token"]["project"]["id"], self.url)

    def token(self, name: str) -> str:
        """A token of this user in the project of the same name."""
        reply = Api(self.port).json("POST", "/v3/auth/tokens", _password(name))
        assert reply.status == 201, reply.text
        return reply.headers["x-subject-token"]

    def publish(self, port: int) -> None:
        """Make the Glance on this port the image service of the catalog."""
        admin = Api(self.port, self.token("admin"))
        for endpoint in admin.must("GET", f"/v3/endpoints?service_id={self._service}")["endpoints"]:
            admin.must("DELETE", f"/v3/endpoints/{endpoint['id']}")
        new = {"service_id": self._service, "interface": "public", "region_id": "RegionOne"}
        admin.must("POST", "/v3/endpoints", {"endpoint": {**new, "url": f"http://127.0.0.1:{port}"}})

    def _authenticate(self, name: str) -> dict[str, dict[str, dict[str, str]]]:
        reply: dict[str, dict[str, dict[str, str]]] = Api(self.port).must("POST", "/v3/auth/tokens", _password(name))
        return reply

    def _add(self, admin: Api, name: str, roles: list[str]) -> None:
        role_ids = {role["name"]: role["id"] for role in admin.must("GET", "/v3/roles")["roles"]}
        fields = {"project": {"name": name, "domain_id": "default"}}
        project = admin.must("POST", "/v3/projects", fields)["project"]["id"]
        user = {"name": name, "password": PASSWORD, "domain_id": "default"}
        user_id = admin.must("POST", "/v3/users", {"user": user})["user"]["id"]
        for role in roles:
            admin.must("PUT", f"/v3/projects/{project}/users/{user_id}/roles/{role_ids[role]}")

    def _manage(self, *arguments: str) -> None:
        run([self._environment.program("keystone-manage"), "--config-dir", str(self._folder), *arguments], self._env)


def _password(name: str) -> dict[str, object]:
    user = {"name": name, "password": PASSWORD, "domain": {"id": "default"}}
    return {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": name, "domain": {"id": "default"}}},
        }
    }
