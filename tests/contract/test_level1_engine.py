"""The engine of today understands every conversation of then, and every plugin of then still runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from douane import sandbox
from support.contract import played_runtime
from support.contract.conversation import PLUGINS, Conversation, conversations, differences
from support.contract.engine_plans import examine
from support.contract.towards_runtime import output_of

TIERS = [sandbox.Tier.STRICT, sandbox.Tier.FULL]
ALL = conversations()


@pytest.fixture(scope="session")
def old_runtime(tmp_path_factory):
    """A virtual environment whose contract is a recording that plays itself."""
    place = tmp_path_factory.mktemp("old")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    package = next(place.glob("lib/python3.*/site-packages")) / "douane_plugin"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(played_runtime.__file__, package / "_runtime.py")
    return place / "bin" / "python"


def with_recording(recorded: Conversation, place: Path, *, unknown: bool = False) -> str:
    """A copy of the plugin that has the recording in it; its `use`."""
    file, _, attribute = recorded.header["plugin"].partition(":")
    header, *frames = recorded.path.read_text(encoding="utf-8").splitlines()
    header = json.dumps({**json.loads(header), "unknown": unknown})
    lines = [f"{played_runtime.MARK}{line}" for line in (header, *frames)]
    (place / file).write_text("\n".join([(PLUGINS / file).read_text(), *lines, ""]))
    return f"{place / file}:{attribute}"


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_runtime_of_then_gets_its_verdict(path, tier, old_runtime, tmp_path):
    recorded = Conversation(path)
    log = []
    unknown = tier is sandbox.Tier.FULL  # in one of the two tiers, with keys that the engine does not know
    use = with_recording(recorded, tmp_path, unknown=unknown)
    verdict, stored = examine(recorded.header, tmp_path, tier, use=use, python=old_runtime, log=log)
    assert not differences(recorded.header["verdict"], verdict), log
    if recorded.header.get("output"):
        assert stored == output_of(recorded)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_plugin_of_then_gets_its_verdict(path, tier, tmp_path):
    recorded = Conversation(path)
    log = []
    verdict, stored = examine(recorded.header, tmp_path, tier, log=log)
    assert not differences(recorded.header["verdict"], verdict), log
    if recorded.header.get("output"):
        assert stored == output_of(recorded)


def test_an_engine_that_says_something_else_is_found(old_runtime, tmp_path):
    recorded = Conversation(next(path for path in ALL if path.stem == "declared"))
    use = with_recording(recorded, tmp_path)
    header = {**recorded.header, "declared": {**recorded.header["declared"], "name": "another name"}}
    log = []
    verdict, _ = examine(header, tmp_path, sandbox.Tier.STRICT, use=use, python=old_runtime, log=log)
    assert verdict["plugin"] == "failed"
    assert any("IMAGE" in text for _, _, text in log)
