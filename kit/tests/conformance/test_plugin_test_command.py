"""`douane plugin test`, as an author calls it: what is shown, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from planted_plugins import PLUGINS

SHELL = """#!/bin/sh
n=$(head -c 4096 | wc -c)
[ "$n" -gt 0 ] || exit 3
exit 0
"""

NEEDS_GRANT = """
from douane_plugin import Inspector

class Rules(Inspector):
    reads = "nothing"

    def __init__(self, name: str = "rules"):
        self.rules = self.grant(name).read()

    def inspect(self, image):
        return {"rules": len(self.rules)}
"""


@pytest.fixture
def plugin_test():
    def run(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "douane.cli.main", "plugin", "test", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=PLUGINS, **more)

    return run


def test_a_fault_is_shown_with_the_smallest_image_and_how_to_mend_it(plugin_test):
    done = plugin_test("faulty_heads.py:SizeIsThere")
    assert done.returncode == 1
    assert "fails-on-declared: it fails with TypeError" in done.stdout
    assert "image: 0 bytes" in done.stdout
    assert "declared: no name, size not known, no disk format" in done.stdout
    assert "fix: name, size, disk_format" in done.stdout
    assert "if image.size > 100 << 30:" in done.stdout


def test_nothing_found_ends_with_0_and_says_what_was_done(plugin_test):
    done = plugin_test("good_heads.py:Names")
    assert (done.returncode, done.stdout.splitlines()[-1].partition(",")[0]) == (0, "no findings")
    assert "images tried: " in done.stdout
    assert "seed 0" in done.stdout


def test_json_is_one_object_with_the_same(plugin_test):
    done = plugin_test("faulty_heads.py:NameIsThere", "--json", "--seed", "7")
    told = json.loads(done.stdout)
    assert (done.returncode, told["outcome"], told["seed"]) == (1, "found", 7)
    assert told["findings"][0]["code"] == "fails-on-declared"
    assert told["findings"][0]["image"]["size"] == 0
    assert told["checks"]["images tried"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no_such_file.py:Nothing"], "no_such_file.py cannot be read"),
        (["good_heads.py:Nothing"], "there is no 'Nothing'"),
        (["good_heads.py:BootSector", "--set", "signature=xyz"], "its configuration is refused"),
        (["good_heads.py:BootSector", "--set", "sign=55"], "'sign' is not a setting of the plugin"),
        (["good_heads.py:BootSector", "--image", "no-such-image"], "no-such-image cannot be read"),
        ([], "name a plugin"),
    ],
)
def test_wrong_usage_ends_with_2(plugin_test, words, said):
    done = plugin_test(*words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_grant_that_is_missing_is_told_and_ends_with_3(plugin_test, tmp_path):
    plugin = tmp_path / "rules.py"
    plugin.write_text(NEEDS_GRANT)
    done = plugin_test(f"{plugin}:Rules")
    assert done.returncode == 3
    assert "needs the grant 'rules'" in done.stderr
    assert "--grant rules=file:PATH" in done.stderr
    rules = tmp_path / "rules.txt"
    rules.write_text("one\ntwo\n")
    assert plugin_test(f"{plugin}:Rules", "--grant", f"rules=file:{rules}").returncode == 0


def test_a_plugin_of_a_plan_is_taken_with_its_configuration(plugin_test, tmp_path):
    plan = tmp_path / "douane.toml"
    plan.write_text(
        f'[[plugin]]\nname = "boot"\nuse = "{PLUGINS}/good_heads.py:Owners"\nconfig = {{ owners = ["me"] }}\n'
    )
    done = plugin_test("--config", str(plan), "--name", "boot", "--json")
    assert (done.returncode, json.loads(done.stdout)["plugin"]) == (0, "boot")
    assert plugin_test("--config", str(plan), "--name", "other").returncode == 2


def test_a_program_is_run_through_the_engine(plugin_test, tmp_path):
    program = tmp_path / "check.sh"
    program.write_text(SHELL)
    program.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    done = plugin_test(f"exec:{program}", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, [one["code"] for one in told["findings"]]) == (1, ["fails-on-empty"])
    assert told["checks"]["runs through the engine"] > 20


def test_without_hypothesis_it_is_told_what_to_install(plugin_test, tmp_path):
    (tmp_path / "hypothesis.py").write_text("raise ImportError('no module named hypothesis')\n")
    done = plugin_test("good_heads.py:Names", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 3
    assert "pip install 'douane[author]'" in done.stderr
