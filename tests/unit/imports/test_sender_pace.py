"""When an upload that has become slow gives its worker up."""

from __future__ import annotations

import pytest

from douane.errors import SourceError
from douane.imports.sender_pace import MIN_RATE, WINDOW_SECONDS, SenderPace

TENTH = 0.1


class Clock:
    """A clock that the test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def is_dropped(rate: float, idle_share: float, *, others: bool = True, seconds: float = 3 * WINDOW_SECONDS) -> bool:
    """Whether an upload with this rate is dropped within `seconds`; the pipe is empty in a share of all looks."""
    clock = Clock()
    pace = SenderPace(lambda: others, clock)
    try:
        for look in range(1, round(seconds / TENTH) + 1):
            clock.now += TENTH
            pace.observe(int(rate * look * TENTH), is_idle=(look % 10) < idle_share * 10)
    except SourceError as error:
        assert error.code == "too-slow"
        return True
    return False


def test_a_slow_sender_gives_its_worker_up_to_others() -> None:
    assert is_dropped(MIN_RATE / 2, 1.0)
    assert is_dropped(0, 1.0)


def test_a_slow_sender_keeps_its_worker_if_nobody_waits() -> None:
    assert not is_dropped(MIN_RATE / 2, 1.0, others=False)


def test_a_sender_at_the_least_rate_keeps_its_worker() -> None:
    assert not is_dropped(MIN_RATE * 1.01, 1.0)


def test_a_sender_that_waits_for_plugins_is_not_slow() -> None:
    assert not is_dropped(0, 0.5)


def test_a_sender_has_some_time() -> None:
    assert not is_dropped(0, 1.0, seconds=WINDOW_SECONDS * 0.9)


@pytest.mark.parametrize("fast", [10 * MIN_RATE, 1000 * MIN_RATE])
def test_a_fast_beginning_does_not_count_for_ever(fast: float) -> None:
    clock = Clock()
    pace = SenderPace(lambda: True, clock)
    received = int(fast * WINDOW_SECONDS)
    clock.now += WINDOW_SECONDS
    pace.observe(received, is_idle=True)
    clock.now += WINDOW_SECONDS
    with pytest.raises(SourceError):
        pace.observe(received, is_idle=True)
