"""The static analysis of a plugin's source: its requests, and its only class."""

from __future__ import annotations

import ast
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from douane.engine import PlanError
from douane.plan import source_scan
from douane.plan.builtin import BUILT_IN
from douane.plan.module_files import find_module
from douane.plan.package_sources import sources_beside
from douane.plan.source_scan import only_class, scan_kind, scan_requests

HEAD = "import os, subprocess\nfrom douane_plugin import Inspector, Transform\n"


def method(body: str, *, cls: str = "A(Inspector)", parameters: str = "self, image") -> str:
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    return f"class {cls}:\n    def inspect({parameters}):\n{lines}\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("self.grant('clamd')", ("clamd",)),
        ("self.grant(name='clamd')", ("clamd",)),
        ("name = 'clamd'\nself.grant(name)", ("clamd",)),
        ("self.grant('one'), self.grant('two'), self.grant('one')", ("one", "two")),
        ("other.grant('clamd')", ()),
    ],
)
def test_grants_that_are_written_out(body: str, expected: tuple[str, ...]) -> None:
    requests = scan_requests(HEAD + method(body), "A")
    assert requests is not None
    assert (requests.grants, requests.unnamed) == (expected, ())


@pytest.mark.parametrize(
    "body",
    [
        "self.grant(image.name)",
        "name = 'a'\nname = 'b'\nself.grant(name)",
        "for name in ('a', 'b'):\n    self.grant(name)",
        "self.grant('a' + 'b')",
        "self.grant()",
        "name = 'a'\nname += 'b'\nself.grant(name)",
    ],
)
def test_names_computed_at_run_time_are_reported_as_unnamed(body: str) -> None:
    requests = scan_requests(HEAD + method(body), "A")
    assert requests is not None
    assert (requests.grants, requests.unnamed) == ((), ("grants",))


def test_a_parameter_hides_a_constant_of_the_same_name() -> None:
    requests = scan_requests(f"{HEAD}name = 'a'\n{method('self.grant(name)', parameters='self, name')}", "A")
    assert requests is not None
    assert (requests.grants, requests.unnamed) == ((), ("grants",))


@pytest.mark.parametrize(
    "body",
    [
        "subprocess.run(['qemu-img', 'info', image.path])",
        "subprocess.Popen(args=('qemu-img', 'info'))",
        "words = ['qemu-img', *more]\nsubprocess.check_output(words)",
        "program = 'qemu-img'\nsubprocess.run([program, 'info'])",
        "os.execv('qemu-img', ['x'])",
    ],
)
def test_programs_that_are_started(body: str) -> None:
    requests = scan_requests(HEAD + method(body), "A")
    assert requests is not None
    assert (requests.programs, requests.unnamed) == (("qemu-img",), ())


def test_an_imported_function_of_subprocess() -> None:
    requests = scan_requests(HEAD + "from subprocess import run as go, PIPE\n" + method("go(['xz'])"), "A")
    assert requests is not None
    assert requests.programs == ("xz",)


def test_scratch_and_proposals() -> None:
    requests = scan_requests(HEAD + method("self.propose('hw_disk_bus', 'scsi')\nself.scratch[0]"), "A")
    assert requests is not None
    assert (requests.proposes, requests.uses_scratch) == (("hw_disk_bus",), True)


def test_requests_of_other_plugins_in_the_file_do_not_count() -> None:
    source = HEAD + method("self.grant('a')") + method("self.grant('b')", cls="B(Inspector)")
    requests = [scan_requests(source, name) for name in ("A", "B")]
    assert [scan and scan.grants for scan in requests] == [("a",), ("b",)]


def test_requests_of_bases_and_helpers_count() -> None:
    helper = "class Helper:\n    def use(self):\n        self.grant('helper')\n"
    source = HEAD + method("self.grant('base')", cls="_Base(Inspector)") + helper + "class A(_Base):\n    pass\n"
    requests = scan_requests(source, "A")
    assert requests is not None
    assert set(requests.grants) == {"base", "helper"}


BUILT_IN_GRANTS = {
    "packages": {"cve"},  # asked for in another module of the package
    "clamav": {"clamd", "conf", "known"},  # by a part that gets the plugin
    "ova": {"trust"},
    "untar": set(),  # imports parts of ova, not its plugins
    "policy": {"policy"},
    "guest-policy": {"policy"},
    "yara-stream": {"rules"},
    "secrets": {"rules"},
    "checksum": {"sums"},
    "baseline": set(),
}


@pytest.mark.parametrize(("use", "grants"), BUILT_IN_GRANTS.items())
def test_requests_of_the_modules_of_its_package_count(use: str, grants: set[str]) -> None:
    module, _, name = BUILT_IN[use].partition(":")
    origin = find_module(module, tuple(sys.path))
    assert origin is not None
    source = Path(origin).read_text()
    requests = scan_requests(source, name, sources_beside(module, origin, source))
    assert requests is not None
    assert set(requests.grants) == grants


def test_the_modules_that_a_plugin_imports_are_followed(tmp_path: Path) -> None:
    files = {
        "__init__.py": "raise SystemExit",
        "a.py": f"{HEAD}from .base import B\nfrom mine import parts\nclass A(B):\n    pass\n",
        "base.py": f"{HEAD}from . import a, absent\n{method('self.grant(1)', cls='Other(Inspector)')}"
        + method("self.grant('base')", cls="B(Inspector)"),
        "parts.py": "from . import latin\ndef f(plugin):\n    plugin.propose('part', 1)\n",
        "unused.py": "def f(plugin):\n    plugin.grant('unused')\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.py").write_bytes(b"\xff")
    requests = scan_requests(files["a.py"], "A", sources_beside("mine.a", str(tmp_path / "a.py"), files["a.py"]))
    assert requests is not None
    assert (requests.grants, requests.proposes, requests.unnamed) == (("base",), ("part",), ())


@pytest.mark.parametrize("source", ["from elsewhere import A", "def f(:", "\0", "(" * 100_000])
def test_a_source_without_the_class_is_none(source: str) -> None:
    assert scan_requests(source, "A") is None


@pytest.mark.parametrize(
    "source",
    [
        "import douane_plugin as dp\nclass A(dp.Inspector): pass",
        "from douane_plugin import Transform as T\nclass A(T): pass",
        "from douane_plugin import Inspector\nclass _Base(Inspector): pass\nclass A(_Base): pass",
        "from douane_plugin import Inspector\nclass Error(Exception): pass\nclass A(Inspector): pass",
    ],
)
def test_the_only_plugin_of_a_file_is_found(tmp_path: Path, source: str) -> None:
    (tmp_path / "it.py").write_text(source)
    assert only_class(str(tmp_path / "it.py")) == "A"


def test_two_plugins_in_a_file_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "it.py").write_text(HEAD + "class A(Inspector): pass\nclass B(A): pass\n")
    with pytest.raises(PlanError, match=r"more than one plugin: write .*it\.py:A, or B"):
        only_class(str(tmp_path / "it.py"))


TRANSFORM = HEAD + "class A(Transform):\n    reads = 'random'\n    # {number}\n"


def test_the_kind_of_a_class_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Glance's own threads parse, too: in CPython 3.11 one of two such threads may get a SystemError."""
    source = TRANSFORM.format(number="parsed once")
    expected = scan_kind(source, "A")
    assert (expected.is_transform, expected.reads_file) == (True, True)

    def parse(_source: str) -> ast.Module:
        raise AssertionError("it is parsed again")

    monkeypatch.setattr(source_scan, "parse_source", parse)
    with ThreadPoolExecutor(4) as threads:
        kinds = threads.map(lambda _: scan_kind(source, "A"), range(8))
        assert list(kinds) == [expected] * 8


def test_a_parse_that_another_thread_disturbs_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [SystemError("AST constructor recursion depth mismatch (before=43, after=57)")] * 3

    class DisturbedAst:
        def __getattr__(self, name: str) -> object:
            return getattr(ast, name)

        def parse(self, source: str) -> ast.Module:
            if errors:
                raise errors.pop()
            return ast.parse(source)

    monkeypatch.setattr(source_scan, "ast", DisturbedAst())
    assert scan_kind(TRANSFORM.format(number="disturbed"), "A").is_transform
    assert not errors
