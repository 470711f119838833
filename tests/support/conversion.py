"""Run `convert` where it runs: in its cage, by the engine, with real images and the real qemu-img."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import Report, RunOptions, inspect_image, load_plan, open_source
from support.plans import plan, plugin
from support.sinks import KeptFile

MIB = 1 << 20
DISK = (
    random.Random(1).randbytes(3 * MIB)
    + bytes(5 * MIB)
    + b"text that packs well " * 50_000
    + bytes(-50_000 * 21 % 512)
    + random.Random(2).randbytes(MIB)
    + bytes(6 * MIB)
)
DIGEST = hashlib.sha256(DISK).hexdigest()
DRIVERS = {"vhd": "vpc"}


def plan_of(*earlier: str, config: str = "", keys: Sequence[str] = ()) -> str:
    """The plugins `earlier`, then `convert` with further `keys`, as a plan in TOML."""
    return plan(*map(plugin, earlier), plugin("convert")) + "\n".join([f"config = {{ {config} }}", *keys])


def convert(folder: Path, image: bytes | Path, toml: str, *, tier: str = "strict", **declared: Any) -> Report:
    """The report; what came out stands in ``folder / "out"``."""
    if isinstance(image, bytes):
        (folder / "image").write_bytes(image)
        image = folder / "image"
    (folder / "plan.toml").write_text(toml)
    loaded = load_plan(str(folder / "plan.toml"))
    sink = KeptFile(folder / "out")
    try:
        return inspect_image(
            loaded, DeclaredImage(**declared), open_source(str(image)), sink, RunOptions(tier=sandbox.Tier(tier))
        )
    finally:
        sink.close()


def disk_of(path: Path, disk_format: str) -> str:
    """The digest of the disk in an image, by qemu-img that is told its format."""
    raw = path.with_name("disk.raw")
    driver = DRIVERS.get(disk_format, disk_format)
    subprocess.run(["qemu-img", "convert", "-f", driver, "-O", "raw", path, raw], check=True)
    return hashlib.sha256(raw.read_bytes()).hexdigest()


def info(path: Path, disk_format: str) -> dict[str, Any]:
    """What qemu-img says of it."""
    words = ["qemu-img", "info", "--output=json", "-f", DRIVERS.get(disk_format, disk_format), str(path)]
    facts: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return facts
