"""The choice of a tier, and the error if a tier is unavailable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from douane import sandbox
from douane.sandbox import cgroup_delegation as delegation
from douane.sandbox import tiers
from support.sandbox.process import Cell

FULL, STRICT, OFF = sandbox.Tier.FULL, sandbox.Tier.STRICT, sandbox.Tier.OFF


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine that lacks a layer."""

    def lack(name: str) -> None:
        real = getattr(tiers, name)()
        monkeypatch.setattr(tiers, name, lambda: replace(real, ok=False, detail="it is gone", remedy="bring it back"))

    return lack


def test_the_best_available_tier_is_the_default() -> None:
    assert sandbox.available() is FULL
    assert sandbox.choose(None, STRICT) is FULL
    assert sandbox.choose(STRICT, FULL) is STRICT
    assert sandbox.choose(OFF, FULL) is OFF


@pytest.mark.parametrize("layer", ["_bubblewrap", "_namespaces"])
def test_without_namespaces_strict_is_the_best_tier(without: Any, layer: str) -> None:
    without(layer)
    assert sandbox.choose(None, STRICT) is STRICT
    for chosen, minimum in ((None, FULL), (FULL, STRICT)):
        with pytest.raises(sandbox.SandboxUnavailable, match=r"tier full .*it is gone.*bring it back"):
            sandbox.choose(chosen, minimum)


@pytest.mark.parametrize("layer", ["_landlock", "_libseccomp"])
def test_without_a_required_layer_only_off_can_be_chosen(without: Any, layer: str) -> None:
    without(layer)
    for chosen in (None, STRICT, FULL):
        with pytest.raises(sandbox.SandboxUnavailable, match="it is gone"):
            sandbox.choose(chosen, STRICT)
    assert sandbox.choose(OFF, STRICT) is OFF
    assert sandbox.choose(None, OFF) is OFF


def test_the_doctor_tries_each_layer() -> None:
    layers = sandbox.examine()
    by_name = {(layer.tier, layer.name): layer for layer in layers}
    assert by_name[STRICT, "sandbox"].ok
    assert by_name[FULL, "sandbox"].ok
    assert "refused" in by_name[FULL, "sandbox"].detail
    assert all(layer.ok or (layer.remedy and layer.detail) for layer in layers)


def test_a_failing_bwrap_is_reported_with_its_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: no permission' >&2\nexit 1\n")
    broken.chmod(0o755)
    tiers._begin_trial.cache_clear()
    tiers._namespaces.cache_clear()
    monkeypatch.setattr(tiers, "bubblewrap", lambda: str(broken))
    try:
        layer = tiers._namespaces()
    finally:
        tiers._begin_trial.cache_clear()
        tiers._namespaces.cache_clear()
    assert not layer.ok
    assert "no permission" in layer.detail
    assert layer.remedy
    monkeypatch.setattr("douane.sandbox.spawn.bubblewrap", lambda: str(broken))
    with pytest.raises(sandbox.SandboxError, match="bwrap ended"):
        Cell(FULL)


def test_a_report_that_contradicts_the_sandbox_is_refused(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        report, cage = json.loads(cell.payload), cell.cage
    assert sandbox.confirm(json.dumps(report).encode(), cage).tier is tier
    for change, says in (
        ({"error": "the wall fell"}, "the wall fell"),
        ({"tier": "off"}, "of tier 'off'"),
        ({"probes": {**report["probes"], "fork": "succeeded"}}, "fork was not refused"),
        ({"probes": {}}, "was not tested"),
        ({"layers": {**report["layers"], "seccomp": 0}}, "a layer is missing"),
        ({"layers": 3}, "no report"),
    ):
        with pytest.raises(sandbox.SandboxError, match=says):
            sandbox.confirm(json.dumps({**report, **change}).encode(), cage)
    for rubbish in (b"", b"{", b"[]", b"\xff", b"null"):
        with pytest.raises(sandbox.SandboxError, match="no report"):
            sandbox.confirm(rubbish, cage)


def test_the_tier_off_still_ends_the_process() -> None:
    with Cell(OFF) as cell:
        assert cell.report.tier is OFF
        assert cell.report.probes == {}
        assert "DOUANE" not in "".join(cell.returned("environment"))
        cell.process.kill()
        assert cell.process.poll() == -9


def test_a_missing_program_is_named(tier: sandbox.Tier) -> None:
    with pytest.raises(sandbox.SandboxError, match="/no/such/program does not exist"):
        Cell(tier, programs=(Path("/no/such/program"),))


def test_without_a_delegated_cgroup_the_other_layers_hold(tier: sandbox.Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("douane.sandbox.spawn.delegated", lambda: delegation.Absent("nobody gave one"))
    with Cell(tier) as cell:
        assert (cell.process.cgroup, cell.report.layers["cgroup"]) == ("", "")
        assert cell.process.measure().processes == 1
