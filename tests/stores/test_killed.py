"""Every store: a process that is killed anywhere leaves an image as a whole or none, and bytes that are found again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from douane.errors import StoreError
from support import killed_store
from support.killed_store import SIZE, content
from support.store import content_of, new_id
from support.store_places import Place
from support.waiting import until

PROGRAM = Path(killed_store.__file__)


def run(place: Place, key: str, image: str, point: int) -> tuple[int, str]:
    """The status and the output of the program."""
    arguments = [place.url, json.dumps(place.options()), key, image, str(point)]
    # In a session of its own: the processes that it started, which end after it, are known by that.
    program = subprocess.Popen(
        [sys.executable, PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    output, errors = program.communicate()
    assert program.returncode in (0, -signal.SIGKILL), errors
    until("its processes have ended", lambda: not _session(program.pid))
    return program.returncode, output


def _session(leader: int) -> list[int]:
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == leader:
                members.append(pid)
    return members


@pytest.mark.parametrize("takes_over", [True, False], ids=["taken over", "swept"])
def test_a_process_that_is_killed_leaves_a_whole_image_or_none(place: Place, takes_over: bool, kills: int) -> None:
    store, expected = place.store(), content()
    store.identity()
    status, output = run(place, new_id(), new_id(), 0)
    assert status == 0
    points = random.Random(takes_over)
    states = set()
    for number in range(kills):
        key, image, point = new_id(), new_id(), 1 + int((number + points.random()) * int(output) / kills)
        status, _ = run(place, key, image, point)
        exists, keys = store.exists(image), list(store.staged_keys())
        states.add((exists, keys == [key]))
        assert set(keys) <= {key}
        if exists:
            assert content_of(store.open(image)) == expected, f"killed at {point}"
        if takes_over:
            exists = take_over(place, key, image) or exists
        for staged in list(store.staged_keys()):
            assert store.discard(staged)
        assert store.exists(image) == exists, f"a sweep deletes no image, killed at {point}"
        if exists:
            assert content_of(store.open(image)) == expected
        store.delete(image)
        assert place.leftovers() == [], f"killed at {point}"
        assert place.unfinished_uploads() == 0, f"killed at {point}"
    assert len(states) > 1, "it was killed in different states"


def take_over(place: Place, key: str, image: str) -> bool:
    """Publish what the dead process has finished, as a worker does that takes its task over; True if that is there."""
    store = place.store()
    try:
        store.publish(store.adopt(key, SIZE), image)
    except StoreError as error:
        assert error.code in ("not-found", "damaged", "exists")
        return error.code == "exists"
    assert content_of(store.open(image)) == content(), "what can be adopted is there"
    return True
