"""`douane glance verify`, run as an operator does on the host of a Glance."""

from __future__ import annotations

import json
import os
import subprocess

from .glance_server import Glance


def verified(glance: Glance, *images: str) -> dict[str, str]:
    """The result for each of these images, or without any, for each active image."""
    process = subprocess.run(
        [glance.environment.program("douane"), "glance", "verify", "--json", *images],
        env={"PATH": os.environ["PATH"], "OS_GLANCE_CONFIG_DIR": str(glance.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    document = json.loads(process.stdout)
    results = {entry["image"]: entry["result"] for entry in document["images"]}
    assert process.returncode == (1 if document["unproven"] else 0), process.stderr
    assert document["unproven"] == sum(result != "proven" for result in results.values())
    return results
