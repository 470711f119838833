"""Libraries that make their own connections reach the granted service, and nothing else, in both tiers."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from support.glance.postgres import Postgres

PYTHON = Path(__file__).parents[2] / ".libraries" / "bin" / "python"
PLUGINS = Path(__file__).with_name("plugins") / "services.py"
IMAGE_BYTES = 3 << 20

pytestmark = pytest.mark.libraries

_GRPC_SERVER = """
import sys
from concurrent import futures
import grpc
server = grpc.server(futures.ThreadPoolExecutor(2))
echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.Echo", {"Echo": echo}),))
port = server.add_insecure_port(sys.argv[1])
server.start()
print(port, flush=True)
sys.stdin.read()
"""


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the path, and hangs up after each response (HTTP/1.0)."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path[1:].encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def http_server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp:127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def grpc_server(*, unix: bool = False) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="douane-grpc-", dir="/tmp")
    words = [PYTHON, "-c", _GRPC_SERVER, f"unix:{folder}/socket" if unix else "127.0.0.1:0"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        yield f"unix:{folder}/socket" if unix else f"tcp:127.0.0.1:{port}"
        server.kill()
    shutil.rmtree(folder)


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    server = Postgres()
    server.start()
    try:
        yield f"unix:{server.folder}/.s.PGSQL.5432"
    finally:
        server.stop()


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="douane-redis-", dir="/tmp")
    path = os.path.join(folder, "redis")
    words = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any("ready to accept connections" in line.lower() for line in iter(server.stdout.readline, ""))
        yield f"unix:{path}"
        server.kill()
    shutil.rmtree(folder)


SERVICES: dict[str, Callable[[], contextlib.AbstractContextManager[str]]] = {
    "Psycopg": postgres_server,
    "Httpx": http_server,
    "Grpc": grpc_server,
    "Grpc on a Unix socket": functools.partial(grpc_server, unix=True),
    "Redis": redis_server,
}


@pytest.mark.parametrize("tier", [sandbox.Tier.STRICT, sandbox.Tier.FULL])
@pytest.mark.parametrize("name", SERVICES)
def test_a_library_reaches_its_service(name: str, tier: sandbox.Tier, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(IMAGE_BYTES))
    plan = tmp_path / "plan.toml"
    with SERVICES[name]() as target:
        lines = [
            f'use = "{PLUGINS}:{name.split(maxsplit=1)[0]}"',
            f'python = "{PYTHON}"',
            'start = "5m"',
            'stall = "5m"',
        ]
        grants = [f'grants = {{ service = "{target}" }}', 'socket_paths = ["service"]']
        plan.write_text("\n".join(["[[plugin]]", 'name = "asks"', *lines, *grants]))
        report = inspect_image(
            load_plan(str(plan)),
            DeclaredImage.from_json({}),
            open_source(str(image)),
            None,
            RunOptions(tier=tier, emit=lambda *_: None),
        )
    assert report.outcome == "accepted", report.verdicts[0].detail
    assert report.properties["asks.answers"] == " ".join(str(IMAGE_BYTES + number) for number in range(3))
