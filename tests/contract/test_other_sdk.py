"""A plugin lives in an environment of its own: another Python, another release of the contract than the engine's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import douane_plugin
from douane_plugin._runtime import __file__ as runtime
from support.contract.conversation import PLUGINS
from support.contract.other_pythons import LATER, build, environment, pythons

pytestmark = pytest.mark.xdist_group("other-sdk")  # the environments are made once
PYTHONS = pythons()
TELLS = """
import sys
from importlib.metadata import version
from douane_plugin import Inspector

class Tells(Inspector):
    reads = "head:100"
    def inspect(self, image):
        self.log.warning("a line of the plugin's")
        self.warn("told", "a warning of the plugin's")
        image.read(10)
        return {"python": "%d.%d" % sys.version_info[:2], "contract": version("douane-plugin")}
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The contract of a later release."""
    return build(tmp_path_factory.mktemp("later"), later=True)


@pytest.fixture(scope="session")
def environments(tmp_path_factory, wheel):
    """``environments(version)``: an interpreter that has that contract."""
    interpreters: dict[str, Path] = {}

    def go(version: str) -> Path:
        if version not in interpreters:
            interpreters[version] = environment(PYTHONS[version], wheel, tmp_path_factory.mktemp("other") / version)
        return interpreters[version]

    return go


def check(
    place: Path, python: Path, tier: str, image: bytes, plugins: dict[str, str], more: str = ""
) -> tuple[int, dict]:
    """``douane check``, with `plugins` in the environment of `python`: exit code and report."""
    (place / "image").write_bytes(image)
    tables = [f'[[plugin]]\nname = "{name}"\nuse = "{use}"\npython = "{python}"\n' for name, use in plugins.items()]
    (place / "plan.toml").write_text("\n".join([*tables, more]))
    douane = str(Path(sys.executable).parent / "douane")
    words = [douane, "check", str(place / "image"), "--config", str(place / "plan.toml"), "--sandbox", tier, "--json"]
    ended = subprocess.run(words, capture_output=True, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


@pytest.mark.parametrize("tier", ["strict", "full"])
@pytest.mark.parametrize("version", PYTHONS)
def test_it_works_with_the_engine_of_today(version, tier, environments, tmp_path):
    (tmp_path / "tells.py").write_text(TELLS)
    plugins = {
        "tells": "tells.py:Tells",
        "chunks": f"{PLUGINS}/chunks.py:Chunks",
        "random": f"{PLUGINS}/at_random.py:AtRandom",
        "invert": f"{PLUGINS}/transforms.py:Invert",
    }
    image = bytes(range(256)) * 20_000
    code, report = check(tmp_path, environments(version), tier, image, plugins)
    assert (code, report["outcome"]) == (0, "accepted"), report
    properties = report["properties"]
    assert (properties["tells.python"], properties["tells.contract"]) == (version, LATER)
    assert properties["chunks.bytes"] == len(image)
    assert properties["random.head"] == "00010203"
    assert properties["invert.bytes"] == len(image)
    assert report["verdicts"][0]["warnings"] == [{"code": "told", "message": "a warning of the plugin's"}]


@pytest.mark.parametrize("tier", ["strict", "full"])
@pytest.mark.parametrize("version", PYTHONS)
def test_its_refusal_counts(version, tier, environments, tmp_path):
    more = '[plugin.config]\ntext = "forbidden"\n'
    image = bytes(3 << 20) + b"forbidden"
    plugins = {"windows": f"{PLUGINS}/windows.py:Windows"}
    code, report = check(tmp_path, environments(version), tier, image, plugins, more)
    assert (code, report["code"]) == (1, "text-found"), report


def test_it_is_another_release_than_the_engines(environments):
    python = environments(next(iter(PYTHONS)))
    command = [str(python), "-c", "import douane_plugin._runtime as one; print(one.__file__)"]
    assert Path(subprocess.check_output(command, text=True).strip()) != Path(runtime)
    assert LATER not in (douane_plugin.__file__ or "")
