"""A nice process hands its niceness on to the sessions of its sandboxes."""

from __future__ import annotations

import os
import subprocess
import sys

from support.priority import niceness_of_session, nicer_by
from support.processes import SECONDS
from support.waiting import until

PARENT = """
import subprocess, sys, time
from douane.sandbox.priority import give_way, let_give_way

give_way(7, 3)
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
for line in sys.stdin:  # as often as it is asked: the kernel does so for one session in a tenth of a second
    let_give_way(child.pid)
    print("tried", flush=True)
child.communicate(b"end")
"""


def test_a_session_that_a_nice_process_starts_is_as_nice() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert niceness_of_session(parent.pid) == 3
        assert os.getpriority(os.PRIO_PROCESS, child) == nicer_by(7)

        def tries() -> bool:
            parent.stdin.write("try\n")
            parent.stdin.flush()
            parent.stdout.readline()
            return niceness_of_session(child) == 3

        until("the session of the child is as nice", tries)
        parent.stdin.close()
        assert parent.wait(SECONDS) == 0


def test_a_process_that_leads_no_session_leaves_the_session_as_it_is() -> None:
    niceness = niceness_of_session(os.getpid())
    code = "from douane.sandbox.priority import give_way; give_way(7, 3)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SECONDS)
    assert niceness_of_session(os.getpid()) == niceness
