"""A signal ends the command, wherever it falls."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import SECONDS

INTERRUPTED_IN_A_FINALIZER = """
import signal, threading
from douane.cli.signals import end_on_signals

class Resource:
    def __del__(self):
        signal.raise_signal(signal.{name})

end_on_signals()
try:
    Resource()
    for _ in range(200):
        threading.Event().wait(0.1)
    print("it goes on")
except BaseException as error:
    print(repr(error))
"""


@pytest.mark.parametrize(
    ("name", "error"), [("SIGINT", "KeyboardInterrupt()"), ("SIGTERM", "SystemExit(143)")], ids=["SIGINT", "SIGTERM"]
)
def test_an_interrupt_that_a_finalizer_swallows_is_raised_again(name: str, error: str) -> None:
    code = INTERRUPTED_IN_A_FINALIZER.format(name=name)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert (ended.stdout, ended.stderr) == (f"{error}\n", "")


def test_other_errors_of_finalizers_are_printed() -> None:
    code = INTERRUPTED_IN_A_FINALIZER.replace("signal.raise_signal(signal.{name})", "1 / 0").replace("200", "0")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert "ZeroDivisionError" in ended.stderr
    assert ended.stdout == "it goes on\n"


def test_ctrl_c_while_the_command_is_imported_ends_it_without_a_traceback(tmp_path: Path) -> None:
    """Click stands for all that is imported."""
    (tmp_path / "click.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    words = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import douane.__main__ as m; m.run()"]
    ended = subprocess.run([*words, tmp_path], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
