"""`douane plugin describe`: a plugin as it describes itself, loaded in its cage and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLUGIN = '''
from typing import Literal, Optional
from douane_plugin import Inspector, Transform


class Thorough(Inspector):
    """Looks at much.

    And for long.
    """

    reads = "head:4096"

    def __init__(self, rules: list[str], depth: int = 3, how: Literal["fast", "slow"] = "fast",
                 top: Optional[float] = None, flag: bool = False):
        self.rules = self.grant("rules")

    def inspect(self, image):
        self.grant("clamd")
        self.propose("hw_disk_bus", "scsi")
        return None
'''


def describe(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "douane.cli.main", "plugin", "describe", *words)
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


def described(*words: str, cwd: Path) -> dict[str, Any]:
    ended = describe(*words, "--json", cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    description: dict[str, Any] = json.loads(ended.stdout)
    return description


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "thorough.py").write_text(PLUGIN)
    return tmp_path


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_all_of_it_is_told_without_being_configured(folder: Path, tier: str) -> None:
    description = described("thorough.py", "--sandbox", tier, cwd=folder)
    expected = ("Thorough", "inspector", 1, "head:4096")
    assert tuple(description[key] for key in ("class", "kind", "api", "reads")) == expected
    assert description["doc"] == "Looks at much.\n\nAnd for long."
    assert [one["name"] for one in description["parameters"]] == ["rules", "depth", "how", "top", "flag"]
    assert (description["grants"], description["proposes"]) == (["rules", "clamd"], ["hw_disk_bus"])
    assert description["scratch"] is False
    assert description["sandbox"] == tier


def test_the_keys_that_are_told_are_those_on_the_page(folder: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "plugin-command.md").read_text(encoding="utf-8")
    rows = page.partition("| key of `--json` |")[2].partition("\n\n")[0].splitlines()[2:]
    listed = {name.strip("` ") for row in rows for name in row.split("|")[1].split(",")}
    assert listed == set(described("thorough.py", cwd=folder))


def test_its_configuration_as_a_schema(folder: Path) -> None:
    ended = describe("thorough.py:Thorough", "--schema", cwd=folder)
    assert json.loads(ended.stdout) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Thorough",
        "description": "Looks at much.",
        "type": "object",
        "properties": {
            "rules": {"type": "array", "items": {"type": "string"}},
            "depth": {"type": "integer", "default": 3},
            "how": {"enum": ["fast", "slow"], "default": "fast"},
            "top": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            "flag": {"type": "boolean", "default": False},
        },
        "required": ["rules"],
        "additionalProperties": False,
    }


def test_a_person_reads_it(folder: Path) -> None:
    ended = describe("thorough.py", cwd=folder)
    assert "Thorough: an inspector" in ended.stdout
    assert "the first 4096 bytes" in ended.stdout
    assert "rules\tlist[str]\trequired" in ended.stdout
    assert "depth\tint\t3" in ended.stdout


@pytest.mark.parametrize("name", ["format", "decompress", "ova", "convert", "properties", "limits", "checksum"])
def test_what_comes_with_douane_can_be_described(tmp_path: Path, name: str) -> None:
    description = described(name, cwd=tmp_path)
    assert description["doc"]
    assert description["schema"]["additionalProperties"] is False
    assert description["scratch"] is (name == "convert")


@pytest.mark.parametrize(
    ("name", "grants", "programs"),
    [
        ("signature", "certificates gpg minisign signatures sigstore sums sums_signature trust", ["gpgv"]),
        ("provenance", "attestations keys sigstore", []),
    ],
)
def test_an_inspector_of_signatures_names_what_it_can_be_granted(
    tmp_path: Path, name: str, grants: str, programs: list[str]
) -> None:
    description = described(name, cwd=tmp_path)
    assert (sorted(description["grants"]), description["programs"]) == (grants.split(), programs)
    assert "more" not in describe(name, cwd=tmp_path).stdout.partition("asks for")[2]


def test_a_program_tells_what_it_can(tmp_path: Path) -> None:
    description = described("exec:/bin/true", cwd=tmp_path)
    assert (description["kind"], description["schema"]) == ("program", None)
    description = described("exec:/bin/cat {grant:keys} --db={grant:db} {grant:keys}", cwd=tmp_path)
    assert description["grants"] == ["keys", "db"]
    ended = describe("exec:/bin/cat {grant:keys}", cwd=tmp_path)
    assert "asks for     grants keys\n" in ended.stdout


@pytest.mark.parametrize(
    ("source", "words", "code", "message"),
    [
        ("", ["it.py"], 2, "no class that derives"),
        ("def f(:", ["it.py"], 2, "is not Python"),
        (PLUGIN + PLUGIN.replace("Thorough", "Other"), ["it.py"], 2, "more than one plugin"),
        (PLUGIN, ["it.py:Nothing"], 2, "it has: Thorough"),
        ("raise RuntimeError('no such luck')\n" + PLUGIN, ["it.py:Thorough"], 2, "no such luck"),
        (PLUGIN.replace('"head:4096"', '"tail"'), ["it.py"], 2, "reads = 'tail'"),
        (PLUGIN.replace("    reads =", "    api = 99\n    reads ="), ["it.py"], 2, "level 99"),
        ("import os\nos._exit(0)\n" + PLUGIN, ["it.py:Thorough"], 2, "exited with status 0"),
        (PLUGIN, ["nowhere.py"], 2, "cannot be read"),
        (PLUGIN, ["no-such-plugin"], 2, "no installed plugin"),
    ],
)
def test_what_cannot_be_described_is_told_with_the_reason(
    tmp_path: Path, source: str, words: list[str], code: int, message: str
) -> None:
    (tmp_path / "it.py").write_text(source)
    ended = describe(*words, cwd=tmp_path)
    assert (ended.returncode, message in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr or "it.py" in ended.stderr


def test_its_code_does_not_run_outside_of_the_cage(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "it.py").write_text(f"try:\n    open({str(mark)!r}, 'w')\nexcept OSError:\n    pass\n{PLUGIN}")
    assert described("it.py", cwd=tmp_path)["class"] == "Thorough"
    assert not mark.exists()
