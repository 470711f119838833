"""The Go program that makes Terraform's calls, built once for all tests of a process."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .environments import ROOT

SOURCE = ROOT / "tests" / "support" / "serve_clients" / "terraform.go"


@functools.cache
def go_client() -> Path:
    """The program. Raises CalledProcessError if Go, a package of the system, cannot build it."""
    folder = Path(tempfile.mkdtemp(prefix="douane-go-"))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GO111MODULE": "off", "GOFLAGS": "-p=1"}
    subprocess.run(["go", "build", "-o", str(folder / "terraform"), str(SOURCE)], env=env, check=True)
    return folder / "terraform"


def terraform(port: int, token: str | None, *words: str) -> dict[str, Any]:
    """Run it against the service on `port`; the JSON object that it prints."""
    env = {"PATH": os.environ["PATH"], **({"OS_TOKEN": token} if token else {})}
    argv = [str(go_client()), f"http://127.0.0.1:{port}", *words]
    process = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert process.stdout, process.stderr
    result: dict[str, Any] = json.loads(process.stdout)
    return result
