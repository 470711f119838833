"""A built-in plugin, a store and an import method are each added as one file and one line.

The test adds one of each to a copy of the package, and uses it there. Formats and compressions have such tests in
tests/unit/formats/test_new_format.py and tests/unit/plugins/test_new_compression.py.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

import douane
import douane_guest
import douane_plugin

ADDITIONS = Path(__file__).with_name("additions")
PLAN = '[[plugin]]\nname = "toy"\nuse = "toy"\nconfig = { word = "hi" }\n'
IMPORT_AND_SAVE = """
import json, sys
from pathlib import Path
from douane.declared import DeclaredImage
from douane.engine import RunOptions, choose_tier, load_plan
from douane.imports import Home, import_image, open_import
from douane.stores import save

place = Path(sys.argv[1])
home = Home(place / "home", sys.argv[2])
plan = load_plan(None)
source = open_import(sys.argv[3], sys.argv[4])
options = RunOptions(tier=choose_tier(plan, None))
imported = import_image(home, plan, DeclaredImage(disk_format="raw"), source, options, method=sys.argv[3])
image = imported.image
size = save(home.store, image.id, place / "saved")
ids = list(home.store.image_ids())
[task] = home.catalog.tasks(image.id)
home.catalog.delete(image.id)
home.recover()
print(json.dumps([image.status, size, ids == [image.id], task.method, list(home.store.image_ids())]))
"""


class Tree:
    """A copy of the package, and an interpreter that imports it."""

    def __init__(self, place: Path) -> None:
        self.package = place / "tree" / "douane"
        shutil.copytree(Path(douane.__file__).parent, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        venv.create(place / "venv", symlinks=True)
        self.python = place / "venv" / "bin" / "python"
        [packages] = (place / "venv" / "lib").glob("python*/site-packages")
        others = [Path(str(package.__file__)).parents[1] for package in (douane_plugin, douane_guest)]
        paths = [self.package.parent, *others, *site.getsitepackages()]
        (packages / "tree.pth").write_text("\n".join(map(str, paths)))
        for folder in (place, place / "tree"):
            folder.chmod(0o755)

    def add(self, addition: str, file: str, table: str, anchor: str, line: str) -> None:
        """Copy the file `addition` to `file`, and insert `line` after `anchor` in the file `table`."""
        assert not (self.package / file).exists()
        shutil.copy(ADDITIONS / addition, self.package / file)
        text = (self.package / table).read_text()
        assert text.count(anchor) == 1
        assert line.count("\n") == 1
        (self.package / table).write_text(text.replace(anchor, anchor + line))

    def run(self, *arguments: str | Path) -> str:
        """Run Python with `arguments`; its output."""
        process = subprocess.run([self.python, *arguments], capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr + process.stdout
        return process.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def add_plugin(tree: Tree) -> None:
    tree.add(
        "toy_plugin.py", "plugins/toy.py", "plan/builtin.py", "BUILT_IN = {\n", '    "toy": "douane.plugins.toy:Toy",\n'
    )


def add_store(tree: Tree) -> None:
    tree.add(
        "toy_store.py", "stores/toy.py", "stores/base.py", "STORES = {\n", '    "toy": "douane.stores.toy:ToyStore",\n'
    )


def add_import_method(tree: Tree) -> None:
    line = '    "toy": "douane.imports.from_text:FromText",\n'
    tree.add("toy_import.py", "imports/from_text.py", "imports/base.py", "METHODS = {\n", line)


def test_a_plugin(tree: Tree, tmp_path: Path) -> None:
    add_plugin(tree)
    (tmp_path / "plan.toml").write_text(PLAN)
    listed = json.loads(tree.run("-m", "douane.cli.main", "plan", "--config", tmp_path / "plan.toml", "--json"))
    assert [plugin["name"] for plugin in listed["plugins"]] == ["toy"]
    (tmp_path / "image").write_bytes(b"hi there")
    check = ("-m", "douane.cli.main", "check", tmp_path / "image", "--config", tmp_path / "plan.toml", "--json")
    assert json.loads(tree.run(*check))["properties"] == {"toy.length": 2}


@pytest.mark.parametrize(
    ("add", "store", "method"),
    [(add_store, "toy:{}/toy", "file"), (add_import_method, "file:{}/store", "toy")],
    ids=["store", "import method"],
)
def test_a_store_and_an_import_method(
    tree: Tree, tmp_path: Path, add: Callable[[Tree], None], store: str, method: str
) -> None:
    add(tree)
    (tmp_path / "image").write_bytes(b"hello, world")
    location = "hello, world" if method == "toy" else str(tmp_path / "image")
    output = tree.run("-c", IMPORT_AND_SAVE, tmp_path, store.format(tmp_path), method, location)
    assert json.loads(output) == ["active", 12, True, method, []]
    assert (tmp_path / "saved").read_bytes() == b"hello, world"
    assert os.path.exists(tmp_path / "toy") == (method == "file")
