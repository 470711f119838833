"""An image that is refused in its first 4 MiB: every client shows the reason, and soon stops sending."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.harness import MiB, Row, Settings, progress
from bench.workspace import sparse_image

from .proxy import CountingProxy
from .server import Server

ROOT = Path(__file__).resolve().parents[2]
GO_CLIENT = ROOT / "tests" / "support" / "serve_clients" / "terraform.go"
CLIENTS = Path(os.environ.get("DOUANE_GLANCE_ENVS", ROOT / ".glance")) / "clients" / "bin"
MAX_SENT = 32.0
REASON = "there is evil in the first blocks"
PLUGIN = f"""
from douane_plugin import Inspector, Reject


class Evil(Inspector):
    reads = "stream"

    def inspect(self, image):
        seen = 0
        for chunk in image:
            seen += len(chunk)
            if seen >= 4 << 20:
                raise Reject("evil", "{REASON}")
"""
UPLOAD = """
import sys, requests
with open(sys.argv[2], "rb") as file:
    answer = requests.put(sys.argv[1], data=file, headers={"Content-Type": "application/octet-stream"}, timeout=300)
print(answer.status_code, answer.text)
"""


def measure(settings: Settings) -> list[Row]:
    """Rows of uploads whose client did not show the reason, and of MiB sent, for each client that is installed."""
    rounds = settings.times(100, 3)
    folder = settings.directory / "serve-refused"
    folder.mkdir()
    (folder / "evil.py").write_text(PLUGIN)
    config = folder / "douane.toml"
    config.write_text(f'[[plugin]]\nname = "evil"\nuse = "{folder / "evil.py"}:Evil"\n')
    image = sparse_image(settings.directory / "evil.raw", 256 * MiB)
    rows = []
    with Server(folder / "home", config) as server:
        proxy = CountingProxy(server.port)
        endpoint = f"http://127.0.0.1:{proxy.port}"
        for name, client in _clients(folder, endpoint, image).items():
            progress(f"  {name}")
            sent, unexplained = [], 0
            for number in range(max(1, rounds // 10) if name == "openstack" else rounds):
                proxy.sent = 0
                output = client(server.create(f"evil {number}"))
                unexplained += REASON not in " ".join(output.split())
                sent.append(proxy.sent / MiB)
            rows += [
                Row(f"{name}: refusals without the reason", unexplained, len(sent), "uploads", "", 0.0, timed=False),
                Row(f"{name}: sent of 256 MiB", max(sent), MAX_SENT, "the bound", "MiB", 1.0, timed=False),
            ]
        proxy.close()
    return rows


def _clients(folder: Path, endpoint: str, image: Path) -> dict[str, Callable[[str], str]]:
    """Functions that upload the image as data of an image of this id, and return what the client prints."""
    clients: dict[str, Callable[[str], str]] = {}

    def url(image_id: str) -> str:
        return f"{endpoint}/v2/images/{image_id}/file"

    if shutil.which("curl"):
        octets = ("-H", "Content-Type: application/octet-stream")
        clients["curl"] = lambda image_id: _output(["curl", "-sS", *octets, "-T", str(image), url(image_id)])
    if shutil.which("go"):
        program = folder / "go-client"
        subprocess.run(
            ["go", "build", "-o", str(program), str(GO_CLIENT)],
            env={**os.environ, "GOCACHE": str(folder / "go-cache"), "GO111MODULE": "off"},
            check=True,
        )
        clients["Go"] = lambda _: _output([str(program), endpoint, "upload", str(image)])
    python = CLIENTS / "python" if (CLIENTS / "python").exists() else Path(sys.executable)
    if subprocess.run([python, "-c", "import requests"], capture_output=True, check=False).returncode == 0:
        clients["requests"] = lambda image_id: _output([str(python), "-c", UPLOAD, url(image_id), str(image)])
    if (openstack := CLIENTS / "openstack").exists():
        words = ("--os-auth-type", "none", "--os-endpoint", endpoint)
        create = ("image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", str(image), "evil")
        clients["openstack"] = lambda _: _output([str(openstack), *words, *create])
    return clients


def _output(words: list[str]) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        return process.stdout + process.stderr
    return "the client did not end"
