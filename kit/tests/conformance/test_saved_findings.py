"""The input of a finding can be saved, and run again by the command that the suite prints."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_plugins import QUICK_DOUANE

from douane.engine import PlanError
from douane_kit.conformance import Finding, declare, load, save
from douane_kit.conformance.cases import Case

pytestmark = pytest.mark.timeout(900)  # up to a minute each, and much more on a busy machine

START = "from douane_plugin import Inspector, Reject\n\nclass Check(Inspector):\n    images = []\n"
FAULTS = {
    "fails-on-declared": (
        "    def inspect(self, image):\n        return {'size': image.size + 1}\n",
        "image.size + 1",
        "1",
    ),
    "depends-on-cuts": (
        "    def inspect(self, image):\n        for chunk in image:\n            if b'MARK' in bytes(chunk):\n"
        "                raise Reject('marked', 'the image has a mark that is not allowed')\n",
        "in image:",
        "in image.windows(1 << 20, overlap=3):",
    ),
    "keeps-state": (
        "    def inspect(self, image):\n        self.images.append(image.size)\n"
        "        return {'images': min(3, len(self.images))}\n",
        "min(3, len(self.images))",
        "1",
    ),
    "memory-growth": (
        "    def inspect(self, image):\n        chunks = [bytes(chunk) for chunk in image]\n"
        "        return {'empty': not chunks}\n",
        "[bytes(chunk) for chunk in image]",
        "max((len(chunk) for chunk in image), default=0)",
    ),
}
"""By the code of the finding: a plugin, the text of its fault, and the text that mends it."""


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line that begins with the word douane."""
    assert words[0] == "douane"
    command = [*QUICK_DOUANE, *words[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def command_of(output: str) -> list[str]:
    """Return the printed command that runs the first finding again."""
    return shlex.split(next(line for line in output.splitlines() if line.startswith("   again: ")).partition(": ")[2])


@pytest.mark.parametrize("code", FAULTS)
def test_the_printed_command_shows_the_fault_until_it_is_mended(tmp_path, code):
    body, fault, mend = FAULTS[code]
    plugin = tmp_path / "check.py"
    plugin.write_text(START + body)
    ended = run(["douane", "plugin", "test", "check.py:Check", "--save", "my images"], tmp_path)
    assert f"1. {code}: " in ended.stdout
    command = command_of(ended.stdout)
    again = run(command, tmp_path)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (1, f"{code}: the fault is still there")
    plugin.write_text(START + body.replace(fault, mend))
    again = run([*command, "--json"], tmp_path)
    assert (again.returncode, json.loads(again.stdout)["outcome"]) == (0, "nothing-found"), again.stdout


def test_the_input_of_a_program_can_be_run_again(tmp_path):
    program = tmp_path / "check.sh"
    program.write_text('#!/bin/sh\nn=$(head -c 4096 | wc -c)\n[ "$n" -gt 0 ] || exit 3\nexit 0\n')
    program.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    ended = run(["douane", "plugin", "test", "exec:./check.sh", "--save", "images", "--json"], tmp_path)
    command = shlex.split(json.loads(ended.stdout)["findings"][0]["again"])
    assert run(command, tmp_path).returncode == 1
    program.write_text("#!/bin/sh\ncat >/dev/null\n")
    assert run(command, tmp_path).returncode == 0


@given(
    images=st.lists(st.binary(max_size=300) | st.just(bytes(3 << 20)), min_size=1, max_size=4),
    cuts=st.integers(0, 50) | st.lists(st.integers(1, 50), max_size=4).map(tuple),
    properties=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    findings=st.dictionaries(st.text(max_size=9), st.integers(-(2**63), 2**63 - 1) | st.booleans(), max_size=3),
)
def test_a_saved_input_is_read_back_unchanged(tmp_path_factory, images, cuts, properties, findings):
    cases = tuple(Case(data, cuts, declare(properties, findings)) for data in images)
    finding = Finding("hangs", "it hangs", cases=lambda: cases)
    path = save(finding, str(tmp_path_factory.mktemp("saved")), 1)
    assert tuple(load(path)[1]) == cases


@pytest.mark.parametrize("text", ["{", "[]", '{"code": "hangs", "what": "", "check": "other", "cases": []}'])
def test_a_file_that_was_not_saved_is_wrong_usage(tmp_path, text):
    file = tmp_path / "file.json"
    file.write_text(text)
    with pytest.raises(PlanError, match="name a JSON file that --save has written"):
        load(str(file))


def test_a_saved_input_names_no_file_elsewhere(tmp_path):
    path = Path(save(Finding("hangs", "it hangs", cases=lambda: (Case(b"data"),)), str(tmp_path / "saved"), 1))
    path.write_text(path.read_text().replace("1-hangs.img", "../1-hangs.img"))
    with pytest.raises(PlanError, match="is not the name of a file beside the JSON file"):
        load(str(path))


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_only_regular_files_are_run_again(tmp_path: Path, kind: str) -> None:
    """A saved finding may come from somebody else."""
    image = tmp_path / "image.img"
    if kind == "pipe":
        os.mkfifo(image)
    else:
        (tmp_path / "elsewhere").write_bytes(b"private")
        image.symlink_to(tmp_path / "elsewhere")
    finding = {
        "code": "x",
        "what": "x",
        "check": "differ",
        "cases": [{"image": image.name, "cuts": 0, "declared": {}}],
    }
    (tmp_path / "x.json").write_text(json.dumps(finding))
    with pytest.raises(PlanError, match="cannot be read"):
        load(str(tmp_path / "x.json"))
