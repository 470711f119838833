"""A plugin's exception: what its author needs goes to the operator, and nothing of it to the tenant."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.program import PLUGINS, Completed, Program

FAILING = PLUGINS / "failing.py"


def check(douane: Program, image: Path, plugin: str, *words: str) -> Completed:
    return douane.run("check", image, "--plugin", f"failing={FAILING}:{plugin}", *words)


def verdict(result: Completed) -> dict[str, Any]:
    [entry] = [entry for entry in result.json["verdicts"] if entry["plugin"] == "failing"]
    assert isinstance(entry, dict)
    return entry


@pytest.mark.parametrize(
    ("plugin", "offset"), [("InHelper", 1_000_003), ("AtRandom", 7_000_000), ("Half", 2_000_000), ("Mute", 0)]
)
def test_the_operator_sees_name_and_offset_and_the_author_s_lines(
    douane: Program, raw: Path, plugin: str, offset: int
) -> None:
    result = check(douane, raw, plugin)
    assert result.code == 3
    trace = result.stderr
    assert trace.startswith(f"failing: at offset {offset} of the image:\n")
    files = re.findall(r'File "([^"]+)"', trace)
    assert set(files) == {str(FAILING)}  # neither the runtime's frames nor those of a library
    source = FAILING.read_text().splitlines()
    for number, line in re.findall(r"line (\d+), in \w+\n    (.+)", trace):
        assert source[int(number) - 1].strip() == line.strip()


def test_what_led_to_it_is_told_before_it(douane: Program, raw: Path) -> None:
    trace = check(douane, raw, "InHelper").stderr
    first, led_to, last = trace.partition("\nThat led to:\n")
    assert led_to
    assert "json.decoder.JSONDecodeError: Expecting property name" in first
    assert "in rule" in last
    assert "in inspect" in last
    assert last.rstrip().endswith("RuntimeError: a secret of the site")


def test_misuse_of_the_contract_points_at_the_author_s_line(douane: Program, raw: Path) -> None:
    trace = check(douane, raw, "Misuses").stderr
    assert "image.read(-1)" in trace
    assert "ValueError: read(n) takes a number of bytes" in trace


def test_an_exception_that_cannot_be_told_is_one_all_the_same(douane: Program, raw: Path) -> None:
    result = check(douane, raw, "Mute", "--json")
    assert verdict(result)["code"] == "plugin-error"
    assert "raise Odd" in verdict(result)["detail"]


def test_before_there_is_an_image_there_is_no_offset(douane: Program, raw: Path) -> None:
    trace = check(douane, raw, "InConstructor").stderr
    assert "in __init__" in trace
    assert "offset" not in trace


@pytest.mark.parametrize("plugin", ["InHelper", "AtRandom", "Half", "Mute", "InConstructor"])
def test_the_tenant_sees_none_of_it(douane: Program, raw: Path, plugin: str) -> None:
    sentence = "the check 'failing' failed; that is a fault of the check, not of the image"
    result = check(douane, raw, plugin)
    assert [word for word in ("secret", "failing.py", "offset", "line ", "Error") if word in result.text] == []
    result = check(douane, raw, plugin, "--json")
    assert (result.json["code"], result.json["message"]) == ("plugin-error", sentence)
    assert verdict(result)["message"] == sentence
    assert "failing.py" in verdict(result)["detail"]  # which is the operator's, and says so in docs/exit-codes.md


def test_verbose_shows_the_frames_of_libraries(douane: Program, write: Callable[[str, str], Path], raw: Path) -> None:
    plugin = write(
        "p.py",
        "import json\nfrom douane_plugin import Inspector\nclass P(Inspector):\n"
        "    def inspect(self, image):\n        json.loads('no json')\n",
    )
    short = douane.run("check", raw, "--plugin", f"p={plugin}:P").stderr
    whole = douane.run("check", raw, "--plugin", f"p={plugin}:P", "--verbose").stderr
    assert "json/decoder.py" not in short
    assert re.search(r"frames of libraries that are left out: [1-9]\d*; --verbose shows them", short)
    assert "json/decoder.py" in whole
    assert "left out" not in whole
