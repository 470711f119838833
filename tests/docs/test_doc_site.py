"""The plan of docs/inspectors/site.md is one that Douane accepts, with the files that it names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from douane.plan.builtin import BUILT_IN
from support.doc_pages import page
from support.site_plan import REST, SITE_PLAN, granted_files, placed

INSPECTORS = {"baseline", "clamav", "guest-policy", "packages", "policy", "provenance", "secrets", "signature", "yara"}


def test_douane_plan_accepts_the_plan_of_the_site(tmp_path: Path) -> None:
    with granted_files(tmp_path) as places:
        plan = tmp_path / "site.toml"
        plan.write_text(placed(SITE_PLAN, places))
        words = [sys.executable, "-m", "douane.cli.main", "plan", "--json", "--config", plan]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    uses = [table["use"] for table in tomllib.loads(SITE_PLAN)["plugin"]]
    assert [plugin["use"] for plugin in json.loads(result.stdout)["plugins"]] == uses


def test_the_plan_has_all_inspectors_and_the_page_explains_each_table() -> None:
    tables = tomllib.loads(SITE_PLAN)["plugin"]
    assert {table["use"] for table in tables} >= INSPECTORS & BUILT_IN.keys()
    explained = re.findall(r"^\| `([a-z-]+)` \|", page("docs/inspectors/site.md"), re.MULTILINE)
    assert [table["name"] for table in tables] == explained


def test_with_the_rest_it_has_all_built_in_plugins() -> None:
    """So that the test of an installation (tests/deploy) misses none."""
    assert {table["use"] for table in tomllib.loads(SITE_PLAN + REST)["plugin"]} == BUILT_IN.keys()
