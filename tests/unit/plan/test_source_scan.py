"""What a plugin's source shows of what it asks for, without being run."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane.engine import PlanError
from douane.plan.source_scan import only_class, shown

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
    found = shown(HEAD + method(body), "A")
    assert found is not None
    assert (found.grants, found.unnamed) == (expected, ())


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
def test_a_name_that_is_made_while_it_runs_is_told_as_such(body: str) -> None:
    found = shown(HEAD + method(body), "A")
    assert found is not None
    assert (found.grants, found.unnamed) == ((), ("grants",))


def test_a_parameter_is_no_constant_of_the_same_name() -> None:
    found = shown(f"{HEAD}name = 'a'\n{method('self.grant(name)', parameters='self, name')}", "A")
    assert found is not None
    assert (found.grants, found.unnamed) == ((), ("grants",))


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
def test_programs_that_it_starts(body: str) -> None:
    found = shown(HEAD + method(body), "A")
    assert found is not None
    assert (found.programs, found.unnamed) == (("qemu-img",), ())


def test_a_function_of_subprocess_that_was_imported() -> None:
    found = shown(HEAD + "from subprocess import run as go, PIPE\n" + method("go(['xz'])"), "A")
    assert found is not None
    assert found.programs == ("xz",)


def test_scratch_and_proposals() -> None:
    found = shown(HEAD + method("self.propose('hw_disk_bus', 'scsi')\nself.scratch[0]"), "A")
    assert found is not None
    assert (found.proposes, found.uses_scratch) == (("hw_disk_bus",), True)


def test_what_another_plugin_of_the_file_asks_for_is_not_this_ones() -> None:
    source = HEAD + method("self.grant('a')") + method("self.grant('b')", cls="B(Inspector)")
    found = [shown(source, name) for name in ("A", "B")]
    assert [one and one.grants for one in found] == [("a",), ("b",)]


def test_what_its_bases_and_helpers_ask_for_is() -> None:
    helper = "class Helper:\n    def use(self):\n        self.grant('helper')\n"
    source = HEAD + method("self.grant('base')", cls="_Base(Inspector)") + helper + "class A(_Base):\n    pass\n"
    found = shown(source, "A")
    assert found is not None
    assert set(found.grants) == {"base", "helper"}


@pytest.mark.parametrize("source", ["from elsewhere import A", "def f(:", "\0", "(" * 100_000])
def test_a_source_that_shows_nothing_of_the_class_is_told_from_one_that_asks_for_nothing(source: str) -> None:
    assert shown(source, "A") is None


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
    assert only_class("it.py", str(tmp_path)) == "A"


def test_of_two_plugins_the_person_has_to_choose(tmp_path: Path) -> None:
    (tmp_path / "it.py").write_text(HEAD + "class A(Inspector): pass\nclass B(A): pass\n")
    with pytest.raises(PlanError, match=r"more than one plugin: write it\.py:A, or B"):
        only_class("it.py", str(tmp_path))
