"""Where the common tests of stores make their stores. A new kind of store is a class and a line in `PLACES`."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from douane.stores import Store, open_store

from .ceph import Ceph, S3Account
from .relay import Mode, Relay
from .s3_server import S3Server, credentials_file
from .waiting import until

_RULE = """<LifecycleConfiguration><Rule><ID>uploads</ID><Filter><Prefix>{prefix}</Prefix></Filter>
<Status>{status}</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation>
</AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"""


class Place:
    """An empty place for one store."""

    server: ClassVar[str | None] = None
    """The name of the server that it needs."""

    is_further: ClassVar[bool] = False
    """True if another server runs the same tests of the same store: only `make test-all` takes both."""

    has_claims: ClassVar[bool] = True
    """True if a store sees which staged bytes a living process has claimed."""

    keeps_open_images: ClassVar[bool] = True
    """True if an image that is open can be read when it has been deleted."""

    part_bytes: ClassVar[int] = 1 << 20
    """Where the lengths of what it writes at a time end."""

    can_link: ClassVar[bool] = True
    """True if staged bytes can have two keys."""

    url: str

    def options(self) -> dict[str, object]:
        """The options of a store here."""
        return {}

    def store(self, **options: object) -> Store:
        """A new store, as another process would open it."""
        return open_store(self.url, {**self.options(), **options})

    def leftovers(self) -> list[str]:
        """All that is there but the store's identity."""
        raise NotImplementedError

    def unfinished_uploads(self) -> int:
        """Uploads that its server keeps for nobody."""
        return 0

    def away(self, mode: Mode = "refusing") -> AbstractContextManager[None]:
        """For a while, the store cannot be reached."""
        raise NotImplementedError

    def full(self) -> AbstractContextManager[None]:
        """For a while, it takes no more bytes."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until the claims of those that are gone have ended, and sweep what they claimed."""

    def put_foreign(self, name: str, content: bytes) -> str:
        """Have another service write something into the store; its URL."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up what it has beside the store."""


class FilePlace(Place):
    def __init__(self, folder: Path, server: Ceph | S3Server | None) -> None:
        self.folder = folder / "store"
        self.url = f"file:{self.folder}"

    def leftovers(self) -> list[str]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in files if path.name != "store-id")

    @contextmanager
    def away(self, mode: Mode = "refusing") -> Iterator[None]:
        aside = self.folder.with_name("aside")
        self.folder.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.folder)

    @contextmanager
    def full(self) -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)

    def put_foreign(self, name: str, content: bytes) -> str:
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(content)
        return f"file://{self.folder / name}"


class S3Place(Place):
    has_claims = False
    keeps_open_images = False
    part_bytes = 8 << 20
    prefix = "douane/images"

    def __init__(self, folder: Path, server: Ceph | S3Server | None) -> None:
        assert isinstance(server, S3Server)
        self._folder = folder
        self.s3 = server
        self.relay = Relay(urlsplit(server.url).port or 80)
        self.bucket = server.new_bucket()
        self.url = f"s3://{self.bucket}/{self.prefix}"
        self._credentials = credentials_file(folder, server.account)

    def options(self) -> dict[str, object]:
        return {
            "endpoint": f"http://127.0.0.1:{self.relay.port}",
            "credentials_file": str(self._credentials),
            "unsigned_payload": True,
            "timeout": 20.0,
            "retries": 2,
        }

    def strangers_options(self, *, secret: str) -> dict[str, object]:
        """The options with wrong credentials."""
        account = S3Account(self.s3.account.access_key, secret)
        return {"credentials_file": str(credentials_file(self._folder, account))}

    def leftovers(self) -> list[str]:
        listing = self.s3.ask("GET", f"/{self.bucket}", {"list-type": "2"}).decode()
        keys = [part.partition("</Key>")[0] for part in listing.split("<Key>")[1:]]
        return sorted(key for key in keys if key != f"{self.prefix}/store-id")

    def unfinished_uploads(self) -> int:
        return self.s3.unfinished_uploads(self.bucket)

    def away(self, mode: Mode = "refusing") -> AbstractContextManager[None]:
        return self.relay.failing(mode)

    def put_foreign(self, name: str, content: bytes) -> str:
        self.s3.ask("PUT", f"/{self.bucket}/{self.prefix}/{name}", content=content)
        return f"s3://{self.bucket}/{self.prefix}/{name}"

    def set_rule(self, prefix: str, status: str) -> None:
        """Give the bucket the rule that aborts incomplete uploads of what lies below `prefix`."""
        self.s3.ask("PUT", f"/{self.bucket}", {"lifecycle": ""}, _RULE.format(prefix=prefix, status=status).encode())

    def close(self) -> None:
        self.relay.close()


class CephGatewayPlace(S3Place):
    server = "s3-ceph"

    @contextmanager
    def full(self) -> Iterator[None]:
        ceph = self.s3.ceph
        assert ceph is not None
        user = ("--quota-scope=user", "--uid=douane")
        ceph.admin("quota", "set", *user, "--max-size=1048576")
        ceph.admin("quota", "enable", *user)
        try:
            yield
        finally:
            ceph.admin("quota", "disable", *user)


class MotoPlace(S3Place):
    server = "s3-moto"
    is_further = True


class RbdPlace(Place):
    """A pool for all tests, which each leaves empty."""

    server = "rbd"
    keeps_open_images = False
    can_link = False
    part_bytes = 8 << 20
    pool = "douane"

    def __init__(self, folder: Path, server: Ceph | S3Server | None) -> None:
        assert isinstance(server, Ceph)
        self._folder = folder
        self.ceph = server
        self.url = f"rbd:{self.pool}"
        if not server.has_pool(self.pool):
            server.make_pool(self.pool)
        self._keyring = server.add_client("douane", "mon", "profile rbd", "osd", f"profile rbd pool={self.pool}")

    def options(self) -> dict[str, object]:
        return {
            "ceph_conf": str(self.ceph.conf),
            "user": "douane",
            "keyring": str(self._keyring),
            "timeout": 1.5,
        }

    def leftovers(self) -> list[str]:
        return sorted(self.ceph.rbd("ls", self.pool).split())

    @contextmanager
    def away(self, mode: Mode = "refusing") -> Iterator[None]:
        with self.ceph.paused("osd"):
            yield

    @contextmanager
    def full(self) -> Iterator[None]:
        with self.ceph.full(self.pool):
            yield

    def settle(self) -> None:
        store = self.store()
        until("nothing is claimed", lambda: all(store.is_abandoned(key) for key in store.staged_keys()))

    def put_foreign(self, name: str, content: bytes) -> str:
        name = name.replace("/", "-")
        source = self._folder / "foreign"
        source.write_bytes(content)
        self.ceph.rbd("import", "--no-progress", str(source), f"{self.pool}/{name}")
        self.ceph.rbd("snap", "create", "--no-progress", f"{self.pool}/{name}@snap")
        return f"rbd://{self.ceph.fsid}/{self.pool}/{name}/snap"

    def close(self) -> None:
        self.settle()
        for name in self.leftovers():
            for snapshot in json.loads(self.ceph.rbd("snap", "ls", f"{self.pool}/{name}", "--format", "json")):
                if snapshot["protected"] == "true":
                    self.ceph.rbd("snap", "unprotect", f"{self.pool}/{name}@{snapshot['name']}")
            self.ceph.rbd("snap", "purge", "--no-progress", f"{self.pool}/{name}")
            self.ceph.rbd("rm", "--no-progress", f"{self.pool}/{name}")


PLACES: dict[str, type[Place]] = {
    "file": FilePlace,
    "rbd": RbdPlace,
    "s3-ceph": CephGatewayPlace,
    "s3-moto": MotoPlace,
}
