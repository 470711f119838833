"""Ctrl-C while a pass runs: it ends it, but never in the middle of something."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from douane.host.events import Event
from douane.host.loop import Loop
from douane.interrupts import INTERRUPTS


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Press it. The handler is the command line's."""
    before = signal.signal(signal.SIGINT, lambda *_: INTERRUPTS.interrupt(KeyboardInterrupt()))
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_where_no_pass_runs_it_ends_the_program_at_once(ctrl_c):
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()


def test_what_a_pass_is_in_the_middle_of_is_done_first(ctrl_c):
    done = []
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.held():
        ctrl_c()
        done.append("the rest")
    assert done == ["the rest"]
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()


def test_a_pass_within_a_pass_leaves_it_to_the_outer_one(ctrl_c):
    done = []
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.held():
        with INTERRUPTS.held():
            ctrl_c()
        done.append("the rest")
    assert done == ["the rest"]


def test_the_loop_is_left_between_two_callbacks(ctrl_c, loop):
    done = []

    def handle(_: Event) -> None:
        ctrl_c()
        done.append("all of the event")

    def tick(_: float) -> None:
        done.append("a tick")

    loop.post(Event())
    with INTERRUPTS.held(), pytest.raises(KeyboardInterrupt):
        loop.run(handle, lambda: False, tick)
    assert done == ["all of the event"]


def test_a_loop_that_waits_is_woken(loop):
    """From another thread, as the kernel's signal comes: the loop sleeps, and would until its next tick at least."""
    me = threading.main_thread().ident
    assert me is not None
    asleep = threading.Event()
    loop.post(Event())
    thread = threading.Thread(target=lambda: (asleep.wait(), signal.pthread_kill(me, signal.SIGINT)))
    thread.start()
    ticks: list[float] = []
    with INTERRUPTS.held(), pytest.raises(KeyboardInterrupt):
        loop.run(lambda _: asleep.set(), lambda: False, ticks.append)
    thread.join()


def test_who_presses_it_twice_does_not_wait(ctrl_c):
    done = []
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.held():
        ctrl_c()
        ctrl_c()
        done.append("not this")
    assert done == []


def test_a_pass_in_another_thread_keeps_nothing_back(ctrl_c, loop):
    begun, end = threading.Event(), threading.Event()

    def other() -> None:
        with INTERRUPTS.held():
            begun.set()
            loop.run(lambda _: None, end.is_set, lambda _: None)

    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(20)
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()
    end.set()
    thread.join(20)
    assert not thread.is_alive()


def test_an_error_on_the_way_out_does_not_swallow_it(ctrl_c):
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.held():
        ctrl_c()
        raise ValueError("something else")
