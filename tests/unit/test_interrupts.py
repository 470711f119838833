"""Ctrl-C during a run: it ends the run at a checkpoint."""

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
    """A function that presses Ctrl-C. The handler is the command line's."""
    previous = signal.signal(signal.SIGINT, lambda *_: INTERRUPTS.interrupt(KeyboardInterrupt()))
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, previous)


@pytest.fixture
def loop() -> Iterator[Loop]:
    instance = Loop()
    yield instance
    instance.close()


def test_an_interrupt_outside_a_run_is_raised_at_once(ctrl_c):
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()


def test_an_interrupt_is_raised_at_the_end_of_the_block(ctrl_c):
    events = []
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.deferred():
        ctrl_c()
        events.append("the rest")
    assert events == ["the rest"]
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()


def test_the_outer_block_raises_the_interrupt_of_the_inner(ctrl_c):
    events = []
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.deferred():
        with INTERRUPTS.deferred():
            ctrl_c()
        events.append("the rest")
    assert events == ["the rest"]


def test_the_loop_raises_an_interrupt_between_two_callbacks(ctrl_c, loop):
    events = []

    def handle(_: Event) -> None:
        ctrl_c()
        events.append("all of the event")

    def tick(_: float) -> None:
        events.append("a tick")

    loop.post(Event())
    with INTERRUPTS.deferred(), pytest.raises(KeyboardInterrupt):
        loop.run(handle, lambda: False, tick)
    assert events == ["all of the event"]


def test_an_interrupt_wakes_the_loop(loop):
    """The signal comes from another thread, while the loop sleeps until its next tick."""
    me = threading.main_thread().ident
    assert me is not None
    asleep = threading.Event()
    loop.post(Event())
    thread = threading.Thread(target=lambda: (asleep.wait(), signal.pthread_kill(me, signal.SIGINT)))
    thread.start()
    ticks: list[float] = []
    with INTERRUPTS.deferred(), pytest.raises(KeyboardInterrupt):
        loop.run(lambda _: asleep.set(), lambda: False, ticks.append)
    thread.join()


def test_a_second_interrupt_is_raised_at_once(ctrl_c):
    events = []
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.deferred():
        ctrl_c()
        ctrl_c()
        events.append("not this")
    assert events == []


def test_a_run_in_another_thread_defers_nothing(ctrl_c, loop):
    started, end = threading.Event(), threading.Event()

    def run_elsewhere() -> None:
        with INTERRUPTS.deferred():
            started.set()
            loop.run(lambda _: None, end.is_set, lambda _: None)

    thread = threading.Thread(target=run_elsewhere)
    thread.start()
    assert started.wait(20)
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()
    end.set()
    thread.join(20)
    assert not thread.is_alive()


def test_an_error_does_not_replace_the_interrupt(ctrl_c):
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.deferred():
        ctrl_c()
        raise ValueError("something else")
