"""The semaphores of tier `strict` behave as CPython's do, whatever a program does with them."""

from __future__ import annotations

import _multiprocessing
import tempfile
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from douane.sandbox.caged.semaphores import SemLock

CALLS: dict[str, Callable[[SemLock], object]] = {
    "try": lambda lock: lock.acquire(False),
    "try for a moment": lambda lock: lock.acquire(True, 0.001),
    "try for no time": lambda lock: lock.acquire(True, -1),
    "release": lambda lock: lock.release(),
    "value": lambda lock: lock._get_value(),
    "zero": lambda lock: lock._is_zero(),
    "mine": lambda lock: lock._is_mine(),
    "count": lambda lock: lock._count(),
    "after a fork": lambda lock: lock._after_fork(),
}


class Here(SemLock):
    _folder = tempfile.gettempdir()


def outcome(call: Callable[[SemLock], object], lock: SemLock) -> object:
    try:
        return call(lock)
    except (AssertionError, ValueError) as error:
        return type(error)


@given(
    kind=st.sampled_from([0, 1]),
    maximum=st.integers(1, 4),
    value=st.integers(0, 4),
    calls=st.lists(st.sampled_from(sorted(CALLS)), max_size=30),
)
def test_they_answer_as_those_of_cpython(kind: int, maximum: int, value: int, calls: list[str]) -> None:
    arguments = (kind, min(value, maximum), maximum, f"/douane-test-{id(calls)}", True)
    real, ours = _multiprocessing.SemLock(*arguments), Here(*arguments)
    assert (ours.kind, ours.maxvalue, ours.SEM_VALUE_MAX) == (real.kind, real.maxvalue, real.SEM_VALUE_MAX)
    for name in calls:
        assert outcome(CALLS[name], ours) == outcome(CALLS[name], real), name
