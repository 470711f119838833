"""The rules of Prometheus: promtool takes them, they fire and do not fire, and name metrics that doors have."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from douane.api.metrics import Metrics
from douane.catalog import Catalog
from support.deploy.chart import TOOLS
from support.doc_pages import TOP

pytestmark = pytest.mark.deploy

FOLDER = TOP / "deploy" / "prometheus"


def promtool(*words: str) -> str:
    ended = subprocess.run([TOOLS / "bin" / "promtool", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", str(FOLDER / "prometheus.yaml"))


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(FOLDER / "alerts_test.yaml"))


def test_every_metric_of_the_rules_is_one_that_a_door_has(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.sqlite3") as catalog:
        text = Metrics(catalog, 1).text().decode()
    metrics = {family.name for family in text_string_to_metric_families(text)}
    names = set(re.findall(r"\bdouane_\w+", (FOLDER / "alerts.yaml").read_text()))
    assert len(names) >= 5
    assert {name.removesuffix("_total") for name in names} <= metrics
