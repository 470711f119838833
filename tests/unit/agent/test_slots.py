"""Which images have a slot, which are read without, and which give way."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from douane.agent.slots import Arrival, Pace, Place, Slots

RATE = 1000


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def arrivals(count: int, clock: Clock) -> list[Arrival]:
    return [Arrival(RATE, clock) for _ in range(count)]


def test_images_have_slots_in_the_order_of_their_arrival() -> None:
    slots = Slots(1, 4)
    first, second, third = arrivals(3, Clock())
    for arrival in (first, second, third):
        slots.enqueue(arrival)
    assert [arrival.place for arrival in (first, second, third)] == [Place.SLOT, Place.QUEUED, Place.QUEUED]
    slots.leave(first)
    assert (second.place, third.place) == (Place.SLOT, Place.QUEUED)
    slots.slow_down(second)
    assert (second.place, third.place) == (Place.SLOW, Place.SLOT)


def test_a_slow_image_keeps_its_place_until_a_slot_is_free() -> None:
    slots = Slots(1, 4)
    slow, quick = arrivals(2, Clock())
    slots.enqueue(slow)
    slots.slow_down(slow)
    slots.enqueue(quick)
    slots.enqueue(slow)
    assert slow.place is Place.SLOW
    slots.leave(quick)
    assert slow.place is Place.SLOT


def test_the_slowest_gives_way_and_not_the_newest() -> None:
    clock = Clock()
    slots = Slots(4, 1)
    silent, slow, newest = arrivals(3, clock)
    for arrival in (silent, slow):
        slots.enqueue(arrival)
        slots.gather(arrival)
    clock.seconds = 100.0
    slow.bytes_arrived = 50 * RATE
    slots.enqueue(newest)
    newest.start()
    slots.gather(newest)
    clock.seconds = 100.1
    assert slots.make_room()
    assert [arrival.place for arrival in (silent, slow, newest)] == [Place.LEFT, Place.GATHERING, Place.GATHERING]
    assert silent.changed.is_set()


def test_nobody_gives_way_while_all_come_fast_enough() -> None:
    clock = Clock()
    slots = Slots(1, 1)
    (arrival,) = arrivals(1, clock)
    slots.enqueue(arrival)
    slots.gather(arrival)
    clock.seconds, arrival.bytes_arrived = 10.0, 20 * RATE
    assert not slots.make_room()


def test_a_sender_keeps_its_slot_by_its_rate_alone() -> None:
    pace = Pace(RATE)
    for _ in range(100):  # a byte now and then is no flow
        pace.arrive(1)
        pace.idle(0.1)
    assert pace.credit <= 0
    pace.reset()
    for _ in range(100):
        pace.arrive(RATE // 5)
        pace.idle(0.1)
    assert pace.credit > 0
    pace.arrive(1 << 40)  # and a burst buys no hours
    pace.idle(3)
    assert pace.credit < 0


class AnyOrder(RuleBasedStateMachine):
    """Whatever threads do in whatever order, there are no more slots than there are, and none stays free."""

    @initialize(count=st.integers(1, 3), slow_count=st.integers(1, 3))
    def begin(self, count: int, slow_count: int) -> None:
        self.clock = Clock()
        self.count, self.slow_count = count, slow_count
        self.slots = Slots(count, slow_count)
        self.images = arrivals(8, self.clock)
        self.queued: set[Arrival] = set()

    @rule(number=st.integers(0, 7), action=st.sampled_from(["enqueue", "gather", "slow_down", "leave"]))
    def act(self, number: int, action: str) -> None:
        arrival = self.images[number]
        if action in ("gather", "slow_down") and arrival.place in (Place.QUEUED, Place.LEFT):
            return
        if action == "gather" and arrival.place is Place.SLOW:
            return
        if action == "enqueue" and arrival.place is Place.QUEUED:
            self.queued.add(arrival)
        getattr(self.slots, action)(arrival)

    @rule(seconds=st.floats(0, 10), number=st.integers(0, 7), count=st.integers(0, 10 * RATE))
    def pass_time(self, seconds: float, number: int, count: int) -> None:
        self.clock.seconds += seconds
        self.images[number].bytes_arrived += count

    @rule()
    def make_room(self) -> None:
        self.slots.make_room()

    @invariant()
    def slots_are_used_and_not_exceeded(self) -> None:
        places = [arrival.place for arrival in self.images]
        assert places.count(Place.SLOT) <= self.count
        assert places.count(Place.SLOW) <= self.slow_count
        waiting = [arrival for arrival in self.queued if arrival.place is Place.QUEUED]
        assert not waiting or places.count(Place.SLOT) == self.count


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
