"""Programs as plugins, and the programs that plugins may run."""

from __future__ import annotations

import hashlib
import os
import sys
import venv

import pytest

from support.images import MIB


@pytest.mark.parametrize(
    ("command", "outcome", "code", "message"),
    [
        ("exec:/bin/cat", "accepted", None, None),
        ("exec:/bin/sh -c 'echo too old >&2; echo more >&2; exit 1'", "refused", "refused", "too old"),
        ("exec:/bin/sh -c 'exit 1'", "refused", "refused", "the check 'tool' refused it, and gave no reason"),
        ("exec:/bin/sh -c 'echo oops >&2; exit 2'", "undecided", "plugin-died", "the check 'tool' failed"),
        ("exec:/bin/sh -c 'head -c 10 >/dev/null; exit 0'", "accepted", None, None),
        ("exec:/bin/sh -c 'sleep 1000 & exit 0'", "accepted", None, None),
    ],
)
def test_any_program_can_be_a_plugin(run, command, outcome, code, message):
    report = run(os.urandom(3 * MIB), [f"tool={command}"])
    assert (report.outcome, report.code, report.message) == (outcome, code, message), report


@pytest.mark.parametrize(
    ("status", "outcome"), [(0, "accepted"), (1, "undecided"), (10, "refused"), (42, "refused"), (2, "undecided")]
)
def test_only_the_listed_statuses_refuse(run, status, outcome):
    use = f"exec:/bin/sh -c 'echo a reason >&2; exit {status}'"
    report = run(b"x", toml=f'[[plugin]]\nname = "tool"\nuse = "{use}"\nrefuse = [10, 42]\n')
    assert report.outcome == outcome
    assert (report.message == "a reason") == (outcome == "refused")


def test_a_traceback_is_no_refusal_if_the_plan_lists_another_status(run):
    use = f"exec:{sys.executable} -I -S -c 'import no_such_module'"
    report = run(b"x", toml=f'[[plugin]]\nname = "tool"\nuse = "{use}"\nrefuse = [10]\n')
    assert report.outcome == "undecided"
    assert report.verdicts[0].detail == (
        "it exited with status 1; ModuleNotFoundError: No module named 'no_such_module'"
    )  # the first line of a traceback says nothing


@pytest.mark.parametrize("use", ["exec:{folder}/rules.py", "exec:{folder}/venv/bin/python {{grant:script}}"])
def test_a_python_program_has_the_libraries_of_its_virtual_environment(run, tmp_path, use):
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    [libraries] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (libraries / "its_own.py").write_text("import json, sys\ndef refuses(data):\n    return b'mark' in data\n")
    script = tmp_path / "rules.py"
    script.write_text(
        f"#!{tmp_path}/venv/bin/python\nimport sys, its_own\nsys.exit(10 * its_own.refuses(sys.stdin.buffer.read()))\n"
    )
    script.chmod(0o755)
    plan = f'[[plugin]]\nname = "rules"\nuse = "{use.format(folder=tmp_path)}"\nrefuse = [10]\n'
    plan += f'grants = {{ script = "file:{script}" }}\n'
    assert [run(data, toml=plan).outcome for data in (b"x", b"a mark")] == ["accepted", "refused"]


def test_granted_programs_are_on_the_path(run, tmp_path):
    program = tmp_path / "tools" / "greet"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    (tmp_path / "asks.py").write_text(
        "import os\n"
        "import subprocess\n"
        "from douane_plugin import Inspector\n"
        "class Asks(Inspector):\n"
        "    reads = 'nothing'\n"
        "    def inspect(self, image):\n"
        "        printed = subprocess.run(['greet'], capture_output=True, text=True, check=True).stdout.strip()\n"
        "        return {'path': os.environ['PATH'], 'printed': printed}\n"
    )
    report = run(b"x", toml=f'[[plugin]]\nname = "asks"\nuse = "{tmp_path}/asks.py:Asks"\nprograms = ["{program}"]\n')
    assert report.outcome == "accepted", report.verdicts[0].detail
    assert report.properties == {"asks.path": f"{program.parent}:/usr/bin:/bin", "asks.printed": "hello"}


def test_a_program_gets_all_bytes_on_standard_input(run, tmp_path):
    data = os.urandom(9 * MIB + 1)
    digest = hashlib.md5(data).hexdigest()
    assert run(data, [f'sum=exec:/bin/sh -c \'test "$(md5sum)" = "{digest}  -"\'']).outcome == "accepted"


def test_a_program_that_does_not_exit_is_killed(run):
    report = run(b"x", toml='[[plugin]]\nname = "slow"\nuse = "exec:/bin/sleep 1000"\nstall = "1s"')
    assert (report.outcome, report.code) == ("undecided", "plugin-stalled")
