"""Which plugin holds up an image."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from douane.sandbox import Tier

PLUGINS = """
import time
from douane_plugin import Inspector

class Fast(Inspector):
    def inspect(self, image):
        for chunk in image:
            pass

class Slow(Inspector):
    def inspect(self, image):
        for chunk in image:
            time.sleep(0.05)

class Late(Inspector):
    def inspect(self, image):
        for chunk in image:
            pass
        time.sleep(1)
"""


def watched(place: Path, *names: str) -> str | None:
    """The plugin that is named most often: before its first byte, any may be the last."""
    (place / "plugins.py").write_text(PLUGINS)
    (place / "image").write_bytes(os.urandom(40 << 20))
    tables = (f'[[plugin]]\nname = "{name.lower()}"\nuse = "plugins.py:{name}"\n' for name in names)
    (place / "plan.toml").write_text("".join(tables))
    seen: list[str | None] = []
    options = RunOptions(tier=Tier.STRICT, watch=seen.append)
    plan = load_plan(str(place / "plan.toml"))
    report = inspect_image(plan, DeclaredImage(), open_source(str(place / "image")), None, options)
    assert report.outcome == "accepted"
    return Counter(name for name in seen if name is not None).most_common(1)[0][0]


def test_the_slowest_plugin_is_named_in_whatever_order_the_plan_is(tmp_path: Path) -> None:
    assert watched(tmp_path, "Fast", "Slow") == "slow"
    assert watched(tmp_path, "Slow", "Fast") == "slow"


def test_a_plugin_that_thinks_after_the_last_byte_is_named(tmp_path: Path) -> None:
    assert watched(tmp_path, "Fast", "Late") == "late"
