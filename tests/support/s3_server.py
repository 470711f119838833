"""Servers that speak S3: the gateway of a real Ceph, and moto's. Both on loopback."""

from __future__ import annotations

import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from douane.stores.s3.signed_request import Signer, ask

from .ceph import Ceph, S3Account, free_port
from .glance.environments import Environment
from .glance.processes import answers
from .processes import SECONDS

REGION = "us-east-1"


@dataclass
class S3Server:
    """A server and a user of it."""

    url: str
    account: S3Account
    ceph: Ceph | None = None
    """Its cluster, if it is a gateway."""

    region: str = field(default=REGION)

    def ask(self, method: str, path: str, query: dict[str, str] | None = None, content: bytes = b"") -> bytes:
        """The content of an answer. Raises AssertionError for an error."""
        signer = Signer(self.account.access_key, self.account.secret_key, None, self.region)
        status, answer = ask(signer, method, self.url + quote(path), query or {}, content=content, timeout=60)
        assert status < 300, (status, answer)
        return answer

    def new_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"douane-{uuid.uuid4().hex[:12]}"
        self.ask("PUT", f"/{name}")
        return name

    def unfinished_uploads(self, bucket: str) -> int:
        """Uploads in parts that were begun, and neither completed nor aborted."""
        return self.ask("GET", f"/{bucket}", {"uploads": ""}).count(b"<UploadId>")


def gateway_of(ceph: Ceph, address: str = "127.0.0.1") -> S3Server:
    """The gateway of a Ceph, started."""
    return S3Server(ceph.start_gateway(address), ceph.add_account(), ceph)


@contextmanager
def moto_server(address: str = "127.0.0.1") -> Iterator[S3Server]:
    """moto's server, which keeps objects in memory and believes every signature."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        program = Environment("clients").program("moto_server")
        process = subprocess.Popen(
            [program, "-H", address, "-p", str(port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + SECONDS
            while not answers(address, port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"moto's server does not start: {log.read()[-2000:]!r}")
                time.sleep(0.1)
            yield S3Server(f"http://{address}:{port}", S3Account("any", "any"))
        finally:
            process.kill()
            process.wait()


def credentials_file(folder: Path, account: S3Account) -> Path:
    """A file with the credentials of `account`."""
    path = folder / f"credentials-{uuid.uuid4().hex[:8]}"
    path.write_text(
        f"[default]\naws_access_key_id = {account.access_key}\naws_secret_access_key = {account.secret_key}\n"
    )
    path.chmod(0o600)
    return path
