"""Errors that the sandbox causes name it, and the key that would allow what failed: to the operator alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from douane.errors import PlanError
from douane.host.advice import REASON
from douane.report import Report, Verdict

Run = Callable[..., Report]


def verdict(report: Report) -> Verdict:
    return next(verdict for verdict in report.verdicts if verdict.plugin == "p")


def advice(report: Report) -> str:
    """The sentence about the sandbox; empty without one. The tenant reads nothing of it."""
    ended = verdict(report)
    assert "sandbox" not in (ended.message or "")
    last = (ended.detail or "").splitlines()[-1]
    return last.removeprefix(REASON) if last.startswith(REASON) else ""


@pytest.fixture
def attempt(run: Run, tmp_path: Path) -> Callable[..., str]:
    """``attempt(code, keys)``: the advice on what the code raises in a plugin."""

    def go(code: str, keys: str = "") -> str:
        body = "\n".join(f"        {line}" for line in code.splitlines())
        (tmp_path / "p.py").write_text(
            f"from douane_plugin import Inspector\nclass P(Inspector):\n    def inspect(self, image):\n{body}\n"
        )
        report = run(b"x", toml=f'[[plugin]]\nname = "p"\nuse = "{tmp_path}/p.py:P"\n{keys}\n')
        assert verdict(report).outcome == "failed", report
        return advice(report)

    return go


FAILURES = {
    "read": ("open('/etc/hosts')", "", 'it does not show /etc/hosts. If .* grants = { NAME = "file:/etc/hosts" }'),
    "list": ("import os\nos.listdir('/root')", "", "it does not show /root"),
    "wrapped": (
        "try:\n    open('/etc/shadow')\nexcept OSError as error:\n    raise RuntimeError('no rules') from error",
        "",
        "it does not show /etc/shadow",
    ),
    "write": ("import os\nopen(os.__file__, 'r+')", "", "for reading only|write no file here"),
    "mkdir": ("import os\nos.mkdir('/usr/own')", "", "write no file here, only in TMPDIR"),
    "socket": ("import socket\nsocket.create_connection(('127.0.0.1', 80))", "", "no network .* grants = "),
    "program": ("import subprocess\nsubprocess.run(['ls'])", "", r'set programs = \["(ls|NAME)"\]'),
    "another program": (
        "import subprocess\nsubprocess.run(['ls'])",
        'programs = ["cat"]',
        r'set programs = \["cat", "ls"\]',
    ),
    "fork": ("import os\nos.fork()", "", "set processes = 4"),
    "system call": (
        "import os\nos.memfd_create('x')",
        "",
        "refuses the system call memfd_create, and no key allows it",
    ),
    "library": ("import ctypes\nctypes.CDLL('libnosuch.so.1')", "", "libnosuch.so.1 in one of them"),
    "memory": ("bytearray(1 << 31)", 'memory = "64MiB"', "64.0 MiB of memory; set a larger 'memory'"),
    "database": (
        "import sqlite3\nsqlite3.connect('file:/etc/x.db?mode=ro', uri=True).execute('select 1')",
        "",
        "a database only if it is granted",
    ),
    "spawned process": (
        "import multiprocessing\np = multiprocessing.get_context('spawn').Process(target=print)\np.start()",
        "",
        "starts Python anew here",
    ),
    "files": ("import os\nfor _ in range(10_000): os.dup(0)", "", "open files and connections, and no key allows more"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_an_error_of_the_sandbox_names_it_and_the_key(attempt: Callable[..., str], kind: str) -> None:
    code, keys, sentence = FAILURES[kind]
    words = attempt(code, keys)
    assert re.search(sentence, words), words


@pytest.mark.parametrize(
    "code",
    [
        "import os\nopen(os.__file__ + '.gone')",
        "raise ValueError('[Errno 13] Permission denied')",
        "raise OSError(22, 'Invalid argument', '/etc/shadow')",
        "{}['key']",
    ],
)
def test_an_error_of_another_cause_stays_as_it_is(attempt: Callable[..., str], code: str) -> None:
    assert attempt(code) == ""


def test_an_error_while_the_plugin_is_imported_names_the_sandbox(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("RULES = open('/etc/shadow').read()\n")
    with pytest.raises(PlanError, match=f"cannot be imported: .*{REASON}it does not show /etc/shadow"):
        run(b"x", [f"p={tmp_path}/p.py:P"])


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            "exec:/bin/sh -c 'cat /etc/hosts'",
            'show /etc/hosts. If the program needs it, set grants = { NAME = "file:',
        ),
        (f"exec:{sys.executable} -I -S -c 'open(\"/etc/shadow\")'", "it does not show /etc/shadow"),
        ("exec:/bin/sh -c 'no-such-tool; exit 4'", r'set programs = \["no-such-tool"\]'),
        ("exec:/bin/sh -c 'echo no rules >&2; exit 4'", "^$"),
    ],
)
def test_the_last_words_of_a_program_name_the_sandbox(run: Run, tmp_path: Path, command: str, sentence: str) -> None:
    use = command.replace('"', '\\"')
    report = run(b"x", toml=f'[[plugin]]\nname = "p"\nuse = "{use}"\nrefuse = [10]\n')
    assert verdict(report).code == "plugin-died"
    assert re.search(sentence, advice(report)), report


def test_a_refusal_that_may_be_a_failure_is_explained_to_the_operator_alone(run: Run) -> None:
    """Without `refuse`, status 1 refuses, and programs that fail exit with 1."""
    report = run(b"x", ["p=exec:/bin/sh -c 'cat /etc/shadow || exit 1'"])
    assert (report.outcome, verdict(report).code) == ("refused", "refused")
    assert advice(report).startswith("it does not show /etc/shadow")


OLD_CALL = """
#include <signal.h>
#include <unistd.h>
int main(void) {
#ifdef __x86_64__
    return (int)syscall(0x40000000 + 39);  /* getpid of x32 */
#else
    return raise(SIGSYS);
#endif
}
"""


@pytest.mark.parametrize("shell", [False, True])
def test_a_killed_system_call_is_explained(run: Run, tmp_path: Path, shell: bool) -> None:
    source, program = tmp_path / "old.c", tmp_path / "old"
    source.write_text(OLD_CALL)
    subprocess.run(["cc", "-o", program, source], check=True)
    keys = f'use = "exec:{program}"'
    if shell:
        keys = f'use = "exec:/bin/sh -c \'{program}; exit $?\'"\nprograms = ["{program}"]'
    report = run(b"x", toml=f'[[plugin]]\nname = "p"\n{keys}\n')
    detail = verdict(report).detail or ""
    assert verdict(report).code == "plugin-died"
    assert "SIGSYS" in detail
    assert "The sandbox is the reason: it runs 64-bit code only, and no key allows other code" in detail


CONSTRUCTORS = {
    "wrong type for a library": ("import os\n        os.path.join(rules)", "failed"),
    "wrong type for an operator": ("'a' + rules", "failed"),
    "missing attribute": ("rules.no_such_attribute", "failed"),
    "own check": ("raise TypeError('rules must be positive')", "refused"),
    "own check of a value": ("raise ValueError('rules must be positive')", "refused"),
    "value of a library": ("int('x')", "refused"),
}


@pytest.mark.parametrize("kind", CONSTRUCTORS)
def test_a_bug_in_a_constructor_is_not_called_a_wrong_configuration(run: Run, tmp_path: Path, kind: str) -> None:
    code, judged = CONSTRUCTORS[kind]
    (tmp_path / "p.py").write_text(
        "from douane_plugin import Inspector\nclass P(Inspector):\n"
        f"    def __init__(self, rules: int = 1):\n        {code}\n    def inspect(self, image): ...\n"
    )
    plugins = [f"p={tmp_path}/p.py:P"]
    if judged == "refused":
        with pytest.raises(PlanError, match="its configuration is refused: "):
            run(b"x", plugins)
        return
    ended = verdict(run(b"x", plugins))
    assert (ended.outcome, ended.code) == ("failed", "plugin-error")
    assert "that is a fault of the check" in (ended.message or "")
    assert f'{tmp_path}/p.py", line ' in (ended.detail or "")
