"""The trace that an operator is shown: the author's own frames, wherever the plugin came from."""

from __future__ import annotations

import importlib
import json

import pytest

from douane_plugin._failures import MAX_TRACE, explain
from douane_plugin._load import load

SOURCE = """
import json
from douane_plugin import Inspector
{helper}
class P(Inspector):
    def inspect(self, image):
        if image is None:
            json.loads("no json")
        self.inspect(image)
"""


def failure(cls, image=None):
    with pytest.raises(Exception) as caught:
        cls().inspect(image)
    return caught.value


def files(trace):
    return {line.split('"')[1] for line in trace.splitlines() if line.startswith('  File "')}


def test_a_plugin_in_a_file(tmp_path):
    use = {"path": str(tmp_path / "p.py"), "source": SOURCE.format(helper=""), "attribute": "P"}
    failure_report = explain(failure(load(use)), use, "at offset 7 of the image:\n")
    assert failure_report["kind"] == "JSONDecodeError"
    assert failure_report["trace"].startswith("at offset 7 of the image:\n")
    assert files(failure_report["trace"]) == {use["path"]}
    assert 'json.loads("no json")' in failure_report["trace"]  # from `use`: the sandbox cannot open the file


@pytest.mark.parametrize("package", [True, False])
def test_a_plugin_in_a_module_or_a_package(tmp_path, monkeypatch, package):
    name = f"site_rules_{package}"
    if package:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "rule.py").write_text(SOURCE.format(helper=f"from {name}.helper import *"))
        (tmp_path / name / "helper.py").write_text("def helps():\n    pass\n")
        module = f"{name}.rule"
    else:
        (tmp_path / f"{name}.py").write_text(SOURCE.format(helper=""))
        module = name
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    use = {"module": module, "attribute": "P"}
    trace = explain(failure(load(use)), use)["trace"]
    assert files(trace) == {str(tmp_path / (f"{name}/rule.py" if package else f"{name}.py"))}


def test_a_plugin_in_a_package_without_an_init_file(tmp_path, monkeypatch):
    (tmp_path / "site_rules_bare" / "deep").mkdir(parents=True)
    place = tmp_path / "site_rules_bare" / "deep" / "rule.py"
    place.write_text(SOURCE.format(helper=""))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    use = {"module": "site_rules_bare.deep.rule", "attribute": "P"}
    assert files(explain(failure(load(use)), use)["trace"]) == {str(place)}


def test_without_a_frame_of_the_author_all_frames_but_the_runtimes_are_shown():
    try:
        json.loads("no json")
    except ValueError as error:
        trace = explain(error, {"module": "no_such_module"})["trace"]
    assert len(files(trace)) >= 2


def test_the_trace_of_a_recursion_or_a_long_chain_is_bounded(tmp_path):
    use = {"path": str(tmp_path / "p.py"), "source": SOURCE.format(helper=""), "attribute": "P"}
    error = failure(load(use), image=b"")
    assert isinstance(error, RecursionError)
    last = error
    for number in range(1000):
        following = ValueError("x" * 5000 + str(number))
        following.__cause__ = last
        last = following
    failure_report = explain(last, use, "at offset 0 of the image:\n")
    assert len(failure_report["trace"]) <= MAX_TRACE
    assert failure_report["trace"].startswith("at offset 0 of the image:\n")
    assert failure_report["trace"].endswith("999\n")
    error.__cause__ = error  # an exception that is its own cause
    assert explain(error, use)["kind"] == "RecursionError"


class Unreadable(OSError):
    def __str__(self):
        raise KeyError("no text")


def test_an_exception_that_cannot_be_read_is_still_explained():
    explained = explain(Unreadable(2, "x"), {})
    assert explained["kind"] == "Unreadable"
    assert "cause" not in explained
