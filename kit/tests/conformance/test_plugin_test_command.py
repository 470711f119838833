"""The output and the exit codes of `douane plugin test`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from planted_plugins import PLUGINS, QUICK_DOUANE

pytestmark = pytest.mark.timeout(900)  # up to a minute each, and much more on a busy machine

SHELL = """#!/bin/sh
n=$(head -c 4096 | wc -c)
[ "$n" -gt 0 ] || exit 3
exit 0
"""

NEVER_REACHED = """
import hashlib

from douane_plugin import Incomplete, Inspector, Reject

class Marked(Inspector):
    reads = "head:64"

    def inspect(self, image):
        data = image.read(64)
        if len(data) < 64:
            raise Incomplete("marked-short", "the image ends inside its header; upload it again")
        if hashlib.sha256(data[:32]).digest() == data[32:]:
            raise Reject("marked", "the image has the mark of a withdrawn image; upload another")
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
    def run(*words: str, douane: Sequence[str] = QUICK_DOUANE) -> subprocess.CompletedProcess[str]:
        command = [*douane, "plugin", "test", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=PLUGINS)

    return run


def test_a_finding_is_shown_with_the_smallest_image_and_the_remedy(plugin_test):
    ended = plugin_test("faulty_heads.py:SizeIsThere")
    assert ended.returncode == 1
    assert "fails-on-declared: it fails with TypeError" in ended.stdout
    assert "image: 0 bytes" in ended.stdout
    assert "declared: no name, size not known, no disk format" in ended.stdout
    assert "fix: name, size, disk_format" in ended.stdout
    assert "if image.size > 100 << 30:" in ended.stdout


def test_no_finding_exits_with_0_and_shows_the_checks(plugin_test):
    ended = plugin_test("good_heads.py:Names", douane=[sys.executable, "-m", "douane.cli.main"])
    assert (ended.returncode, ended.stdout.splitlines()[-1].partition(",")[0]) == (0, "no findings")
    assert "images tried: " in ended.stdout
    assert "seed 0" in ended.stdout


def test_json_is_one_object_with_the_findings(plugin_test):
    ended = plugin_test("faulty_heads.py:NameIsThere", "--json", "--seed", "7")
    report = json.loads(ended.stdout)
    assert (ended.returncode, report["outcome"], report["seed"]) == (1, "found", 7)
    assert report["findings"][0]["code"] == "fails-on-declared"
    assert report["findings"][0]["image"]["size"] == 0
    assert report["checks"]["images tried"] > 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["no_such_file.py:Nothing"], "no_such_file.py cannot be read"),
        (["good_heads.py:Nothing"], "there is no 'Nothing'"),
        (["good_heads.py:BootSector", "--set", "signature=xyz"], "its configuration is refused"),
        (["good_heads.py:BootSector", "--set", "sign=55"], "'sign' is not a setting of the plugin"),
        (["good_heads.py:BootSector", "--image", "no-such-image"], "no-such-image cannot be read"),
        (["good_heads.py:BootSector", "--findings", "no-such-file"], "no-such-file cannot be read"),
        (["good_heads.py:BootSector", "--property", "contact"], "--property contact: write it as NAME=VALUE"),
        ([], "name a plugin"),
    ],
)
def test_wrong_usage_exits_with_2(plugin_test, words, text):
    ended = plugin_test(*words)
    assert (ended.returncode, text in ended.stderr) == (2, True), ended.stderr


def test_a_missing_grant_is_reported_and_exits_with_3(plugin_test, tmp_path):
    plugin = tmp_path / "rules.py"
    plugin.write_text(NEEDS_GRANT)
    ended = plugin_test(f"{plugin}:Rules")
    assert ended.returncode == 3
    assert "needs the grant 'rules'" in ended.stderr
    assert "--grant rules=file:PATH" in ended.stderr
    rules = tmp_path / "rules.txt"
    rules.write_text("one\ntwo\n")
    assert plugin_test(f"{plugin}:Rules", "--grant", f"rules=file:{rules}").returncode == 0


NEEDS_FOLDER = """
import os
from douane_plugin import Inspector, Reject

class Listed(Inspector):
    reads = "head:16"

    def inspect(self, image):
        folder = self.grant("lists")
        names = set(os.listdir(folder))
        with open(os.path.join(folder.path, "list"), "rb") as file:
            listed = file.read().split()
        with open(self.grant("list").path, "rb") as file:
            assert file.read() == self.grant("list").read()
        if image.read(4) in listed:
            raise Reject("listed", "this image is on the list; choose another")
        return {"names": len(names)}
"""


def test_a_plugin_with_a_granted_folder_is_tested_in_every_process(plugin_test, tmp_path):
    plugin = tmp_path / "listed.py"
    plugin.write_text(NEEDS_FOLDER)
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "list").write_text("QFI\xfb ABCD")
    grants = ("--grant", f"lists=dir:{folder}", "--grant", f"list=file:{folder}/list")
    ended = plugin_test(f"{plugin}:Listed", *grants, "--json")
    assert ended.returncode == 0, ended.stdout
    report = json.loads(ended.stdout)
    assert report["checks"]["images through the engine"] > 0
    assert "failed" not in report["verdicts"]


def test_a_plugin_of_a_plan_keeps_its_configuration(plugin_test, tmp_path):
    plan = tmp_path / "douane.toml"
    plan.write_text(
        f'[[plugin]]\nname = "boot"\nuse = "{PLUGINS}/good_heads.py:Owners"\nconfig = {{ owners = ["me"] }}\n'
    )
    ended = plugin_test("--config", str(plan), "--name", "boot", "--json")
    assert (ended.returncode, json.loads(ended.stdout)["plugin"]) == (0, "boot")
    assert plugin_test("--config", str(plan), "--name", "other").returncode == 2


def test_a_program_runs_through_the_engine(plugin_test, tmp_path):
    program = tmp_path / "check.sh"
    program.write_text(SHELL)
    program.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    ended = plugin_test(f"exec:{program}", "--json")
    report = json.loads(ended.stdout)
    assert (ended.returncode, [finding["code"] for finding in report["findings"]]) == (1, ["fails-on-empty"])
    assert report["checks"]["runs through the engine"] > 20
    assert [warning["code"] for warning in report["warnings"]] == ["never-refuses"]


def test_it_says_that_no_image_was_refused_even_if_some_were_incomplete(plugin_test, tmp_path):
    plugin = tmp_path / "marked.py"
    plugin.write_text(NEVER_REACHED)
    ended = plugin_test(f"{plugin}:Marked")
    assert " incomplete" in ended.stdout
    assert "warning: never-refuses: it refuses none of the " in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("no findings, 1 warning, ")
    head = b"x" * 32
    image = tmp_path / "marked.img"
    image.write_bytes(head + hashlib.sha256(head).digest())
    assert "warning" not in plugin_test(f"{plugin}:Marked", "--image", str(image)).stdout


def test_a_program_that_always_fails_is_named_as_that(plugin_test, tmp_path):
    program = tmp_path / "check.sh"
    program.write_text("#!/bin/sh\ncat >/dev/null\nno-such-program\n")
    program.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    (finding,) = json.loads(plugin_test(f"exec:{program}", "--json").stdout)["findings"]
    assert finding["code"] == "fails-always"
    assert "it fails on every image that was tried" in finding["what"]
    assert "the first error: it fails: " in finding["what"]


def test_a_program_that_refuses_all_images_is_warned_of(plugin_test, tmp_path):
    program = tmp_path / "check.sh"
    program.write_text('#!/bin/sh\ncat >/dev/null\necho "this site takes no images today" >&2\nexit 1\n')
    program.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    report = json.loads(plugin_test(f"exec:{program}", "--json").stdout)
    assert [warning["code"] for warning in report["warnings"]] == ["always-refuses"]


def test_findings_come_from_an_object_or_from_a_report_of_check(plugin_test, tmp_path):
    disk, report, pairs = tmp_path / "disk.raw", tmp_path / "report.json", tmp_path / "pairs.json"
    with open(disk, "wb") as file:
        file.truncate(6 << 30)
    command = [sys.executable, "-m", "douane.cli.main", "check", str(disk), "--json"]
    report.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    pairs.write_text('{"format.virtual_size": 7000000000}')
    for file in (report, pairs):
        ended = plugin_test("faulty_answers.py:LargeDisk", "--findings", str(file))
        assert "fails-on-declared: it fails with KeyError: 'contact'" in ended.stdout
        assert "findings format.disk_format='raw'" in ended.stdout or file is pairs


@pytest.mark.parametrize("text", ["[1]", '{"format.size": [1]}', '{"verdicts": [{"properties": {"a.b": null}}]}', "{"])
def test_a_file_without_findings_is_wrong_usage(plugin_test, tmp_path, text):
    file = tmp_path / "findings.json"
    file.write_text(text)
    ended = plugin_test("good_heads.py:Names", "--findings", str(file))
    assert (ended.returncode, "write a JSON object such as" in ended.stderr) == (2, True)
