"""Modules beside a plugin's file run from the text that the engine has sent, whatever is in the file."""

from __future__ import annotations

import sys

import pytest

from douane_plugin import _load

PLUGIN = """
from douane_plugin import Inspector
import beside_helper
class P(Inspector):
    answer = beside_helper.answer
"""


@pytest.fixture(autouse=True)
def nothing_imported():
    before = set(sys.modules)
    yield
    _load._PLACES.clear()
    _load._SOURCES.clear()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def use(folder, modules, sources):
    path = str(folder / "p.py")
    return {"path": path, "source": PLUGIN, "attribute": "P", "modules": modules, "sources": sources}


def test_the_text_that_was_sent_runs_not_the_file(tmp_path):
    file = tmp_path / "beside_helper.py"
    file.write_text("answer = 'file'\n")
    cls = _load.load(use(tmp_path, {"beside_helper": str(file)}, {str(file): "answer = 'sent'\n"}))
    assert cls.answer == "sent"
    assert sys.modules["beside_helper"].__file__ == str(file)
    assert not list(tmp_path.glob("__pycache__"))


def test_a_module_that_appeared_after_the_digest_is_not_imported(tmp_path):
    package = tmp_path / "beside_helper"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "late.py").write_text("answer = 'late'\n")
    sources = {f"{package}/__init__.py": "from .late import answer\n"}
    with pytest.raises(FileNotFoundError, match="was not there when Douane read the modules"):
        _load.load(use(tmp_path, {"beside_helper": f"{package}/"}, sources))


@pytest.mark.parametrize("start", [True, False])
def test_a_package_may_have_no_init_file(tmp_path, start):
    package = tmp_path / "beside_helper"
    package.mkdir()
    (package / "part.py").touch()
    sources = {f"{package}/part.py": "answer = 'part'\n"}
    if start:
        (package / "__init__.py").touch()
        sources[f"{package}/__init__.py"] = ""
    spec = use(tmp_path, {"beside_helper": f"{package}/"}, sources)
    spec["source"] = PLUGIN.replace("import beside_helper", "import beside_helper.part").replace(
        "beside_helper.answer", "beside_helper.part.answer"
    )
    assert _load.load(spec).answer == "part"


def test_data_of_a_package_is_read_through_its_loader(tmp_path):
    import pkgutil

    package = tmp_path / "beside_helper"
    package.mkdir()
    (package / "words.txt").write_text("words")
    (package / "__init__.py").touch()
    sources = {f"{package}/__init__.py": "answer = 1\n"}
    _load.load(use(tmp_path, {"beside_helper": f"{package}/"}, sources))
    assert pkgutil.get_data("beside_helper", "words.txt") == b"words"
