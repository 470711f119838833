"""An installation by docs/machines.md, which the container image is as well, has what every built-in plugin needs."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from support.deploy.chart import TOOLS
from support.site_plan import REST, SITE_PLAN, granted_files, placed

pytestmark = pytest.mark.deploy

DOUANE = TOOLS / "service" / "bin" / "douane"
"""Made by scripts/deploy-env.sh, with requirements/service.txt alone."""


def test_every_built_in_plugin_starts(tmp_path: Path) -> None:
    text = SITE_PLAN + REST
    with granted_files(tmp_path) as places:
        plan = tmp_path / "all.toml"
        plan.write_text(placed(text, places))
        ended = subprocess.run(
            [DOUANE, "plan", "--json", "--config", plan], capture_output=True, text=True, check=False
        )
    assert ended.returncode == 0, ended.stderr
    started = {plugin["use"] for plugin in json.loads(ended.stdout)["plugins"]}
    assert started >= {table["use"] for table in tomllib.loads(text)["plugin"]}
