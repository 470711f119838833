"""Give way to other processes, also where the kernel divides the processors among sessions first.

Where it does (sched(7), "The autogroup feature"; most distributions build Linux so), a niceness counts only among the
processes of one session. Beside busy workers in its session, the door waited as they should have. A session has a
niceness of its own, which begins at 0.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

_TRIES = 20
_PAUSE_S = 0.1
"""The kernel changes one session in a tenth of a second, unless an administrator asks (EAGAIN)."""


def give_way(niceness: int, of_session: int) -> None:
    """Be nice to others from now on, with all later children; the session, too, if this process leads it."""
    os.nice(niceness)
    if os.getsid(0) != os.getpid():
        return  # it has other processes
    for _ in range(_TRIES):
        if _set_niceness_of_session(os.getpid(), of_session) != errno.EAGAIN:
            return
        time.sleep(_PAUSE_S)


def let_give_way(leader: int) -> None:
    """Make the session of the process `leader`, which it leads, as nice as the session of this process, if that can be
    done at once."""
    niceness = _niceness_of_own_session()
    if niceness > 0:
        _set_niceness_of_session(leader, niceness)


def _niceness_of_own_session() -> int:
    try:
        with open("/proc/self/autogroup") as file:
            return int(file.read().rpartition(" ")[2])
    except (OSError, ValueError):  # without the feature, there is no such file
        return 0


def _set_niceness_of_session(leader: int, niceness: int) -> int:
    """0, or the number of the error."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        try:
            with open(f"/proc/{leader}/autogroup", "w") as file:
                file.write(str(niceness))
        except OSError as error:
            return error.errno or 0
    return 0
