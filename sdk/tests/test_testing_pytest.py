"""The fixtures in an author's environment: a file of tests, pytest, and only this distribution."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import douane_plugin.testing
from douane_plugin.testing import pytest_plugin

PLUGIN = '''
from douane_plugin import Inspector, Reject

class Table(Inspector):
    """Refuse a disk without a partition table."""

    reads = "head:512"

    def __init__(self, strict: bool = True):
        self.strict = strict

    def inspect(self, image):
        if image.read(512)[510:] == b"\\x55\\xaa":
            return {"table": True}
        self.log.warning("no table")
        if self.strict:
            raise Reject("no-table", "the disk has no partition table")
        return 1 // 0
'''


def run_pytest(folder, tests, *arguments, ini=""):
    """Run pytest on a file of tests beside PLUGIN; return the exit status and the output."""
    (folder / "table.py").write_text(PLUGIN)
    (folder / "test_table.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n" + ini)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(
        words,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return ended.returncode, ended.stdout


def test_the_installed_package_provides_the_fixtures(tmp_path):
    code, printed = run_pytest(
        tmp_path,
        """
import pytest
from table import Table

@pytest.mark.parametrize("kind", ["mbr", "gpt"])
def test_a_disk(douane_run, douane_image, kind):
    result = douane_run(Table, douane_image(kind, size=1 << 40), chunks=100)
    assert result.outcome == "accepted" and result.properties == {"table": True}

def test_no_disk(douane_run, douane_sandbox):
    assert douane_sandbox is None
    assert douane_run(Table, bytes(512)).code == "no-table"
    assert douane_run("table.py:Table").code == "no-table"

def test_images(douane_image, tmp_path):
    paths = [douane_image(), douane_image(), douane_image("gzip", data=b"x"), douane_image(name="mine")]
    assert [path.name for path in paths] == ["raw-0.img", "raw-1.img", "gzip-0.img", "mine"]
    assert all(path.parent == tmp_path for path in paths)
    with pytest.raises(FileExistsError):
        douane_image(name="mine")

def test_cuts(douane_same_for_all_cuts, douane_image):
    assert douane_same_for_all_cuts(Table, douane_image("mbr")).outcome == "accepted"
""",
        "-q",
    )
    assert code == 0, printed
    assert "5 passed" in printed


def test_a_failing_plugin_is_shown_with_its_own_lines_and_its_log(tmp_path):
    code, printed = run_pytest(
        tmp_path,
        """
from table import Table

def test_bug(douane_run):
    douane_run(Table, bytes(512), config={"strict": False})

def test_wrong_expectation(douane_run):
    assert douane_run(Table, bytes(512)).outcome == "accepted"
""",
    )
    assert code == 1
    assert ">       return 1 // 0" in printed
    assert "_runtime.py" not in printed and "_in_process.py" not in printed
    assert "Result('refused', code='no-table', message='the disk has no partition table', 512 bytes seen" in printed
    assert "Captured douane_run call" in printed
    assert "no table" in printed.split("Captured log call")[1]


SANDBOX = """
def test_it(douane_sandbox):
    assert douane_sandbox == {!r}
"""


@pytest.mark.parametrize(
    ("arguments", "ini", "expected"),
    [
        ((), "", None),
        ((), "douane_sandbox = strict\n", "strict"),
        (("--douane-sandbox=full",), "douane_sandbox = strict\n", "full"),
        (("--douane-sandbox=none",), "douane_sandbox = strict\n", None),
    ],
)
def test_the_sandbox_is_an_option(arguments, ini, expected, tmp_path):
    code, printed = run_pytest(tmp_path, SANDBOX.format(expected), *arguments, ini=ini)
    assert code == 0, printed


def test_an_invalid_option_is_refused(tmp_path):
    code, printed = run_pytest(tmp_path, SANDBOX.format(None), ini="douane_sandbox = paper\n")
    assert code != 0 and "douane_sandbox in the ini file is one of none, off, strict, full, best" in printed
    code, printed = run_pytest(tmp_path, SANDBOX.format(None), "--douane-sandbox=paper")
    assert code != 0 and "invalid choice: 'paper'" in printed


def test_without_douane_the_sandbox_says_what_to_install(tmp_path):
    (tmp_path / "table.py").write_text(PLUGIN)
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *more):\n"
        "        if name == 'douane': raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from table import Table; from douane_plugin.testing import run\n"
        "run(Table, b'', sandbox='strict')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert "has no distribution 'douane', which has the sandbox: install it there" in ended.stderr


def test_the_package_imports_neither_pytest_nor_douane():
    code = (
        "import sys, douane_plugin.testing\n"
        "imported = {name.partition('.')[0] for name in sys.modules} & {'pytest', '_pytest', 'douane'}\n"
        "assert not imported, imported"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_has_a_docstring():
    public = {name: getattr(douane_plugin.testing, name) for name in douane_plugin.testing.__all__}
    public.update({name: value for name, value in vars(pytest_plugin).items() if name.startswith("douane_")})
    for name, item in public.items():
        if not isinstance(item, tuple) or isinstance(item, type):
            assert (getattr(item, "__doc__", None) or "").strip(), name
        if isinstance(item, type):
            for member, value in vars(item).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert value.__doc__, f"{name}.{member}"


def test_the_pytest_plugin_imports_only_typing_and_pytest():
    source = Path(pytest_plugin.__file__).read_text()
    heads = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert heads == [
        "from __future__ import annotations",
        "from typing import TYPE_CHECKING, Any, Callable, Optional",
        "import pytest",
    ]
