"""Libraries that operators use work in a plugin as they are, in both tiers; `make test-libraries` installs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from support.images.partitions import gpt_disk

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".libraries" / "bin" / "python"
PLUGINS = Path(__file__).with_name("plugins") / "libraries.py"

pytestmark = pytest.mark.libraries

ANSWERS: dict[str, dict[str, object]] = {
    "Cel": {"allowed": True},
    "Duckdb": {"rows": 100_000},
    "Sqlalchemy": {},
    "Dissect": {"partitions": 1},
    "Telemetry": {"spans": 1},
    "Psutil": {"facts": True},
    "Numpy": {},
    "Pandas": {"rows": 3},
    "Parsers": {"formats": 1},
    "Signatures": {},
    "Standard": {"zones": True, "authorities": True, "user": "plugin"},
    "Pools": {"results": 4 * 55},
}


@pytest.mark.parametrize("tier", [sandbox.Tier.STRICT, sandbox.Tier.FULL])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_plugin_uses_the_library(name: str, tier: sandbox.Tier, tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(gpt_disk((2048, 4095)))
    plan = tmp_path / "plan.toml"
    keys = ['start = "5m"', 'stall = "5m"', 'memory = "1GiB"', *(["processes = 8"] if name == "Pools" else [])]
    lines = ["[[plugin]]", 'name = "library"', f'use = "{PLUGINS}:{name}"', f'python = "{PYTHON}"', *keys]
    plan.write_text("\n".join(lines))
    report = inspect_image(
        load_plan(str(plan)),
        DeclaredImage.from_json({}),
        open_source(str(image)),
        None,
        RunOptions(tier=tier, emit=lambda *_: None),
    )
    assert report.outcome == "accepted", report.verdicts[0].detail
    assert report.properties.items() >= {f"library.{key}": value for key, value in ANSWERS[name].items()}.items()
