"""The settings of Douane in Glance, and the entry point of the import plugin."""

from __future__ import annotations

import pytest

from douane.errors import PlanError
from douane.glance import settings
from douane.glance.import_plugin import get_flow


def test_get_flow_stops_the_import_if_it_cannot_run() -> None:
    # This environment has no taskflow, which every Glance has. stevedore lets only AssertionError through.
    with pytest.raises(AssertionError, match="the import is stopped"):
        get_flow(task_id="t", task_type="api_image_import", image_id="an image")


def test_the_import_plugin_takes_the_filters_settings_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_shared", [])
    monkeypatch.delenv("DOUANE_CONFIG", raising=False)
    monkeypatch.delenv("DOUANE_AGENT", raising=False)
    with pytest.raises(PlanError, match="DOUANE_CONFIG"):
        settings.process_settings()
    monkeypatch.setenv("DOUANE_CONFIG", "/etc/douane/of-the-environment.toml")
    monkeypatch.setenv("DOUANE_AGAIN", "true")
    current = settings.process_settings()
    assert (current.config, current.again) == ("/etc/douane/of-the-environment.toml", True)
    settings.share(settings.Settings("/etc/douane/of-the-filter.toml"))
    assert settings.process_settings().config == "/etc/douane/of-the-filter.toml"
    with pytest.raises(PlanError, match="again"):
        settings.read_settings({"config": "x", "again": "perhaps"})


def test_imports_are_guarded_unless_the_setting_says_otherwise() -> None:
    plan = {"config": "plan.toml"}
    assert settings.read_settings(plan, {}).guard_imports
    assert settings.read_settings({**plan, "imports": "guarded"}, {"DOUANE_IMPORTS": "unguarded"}).guard_imports
    assert not settings.read_settings({**plan, "imports": "unguarded"}, {}).guard_imports
    with pytest.raises(PlanError, match="guarded or unguarded"):
        settings.read_settings({**plan, "imports": "no"}, {})
