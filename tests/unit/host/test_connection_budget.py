"""How many connections a plugin may have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from douane.host.connection_budget import A_SECOND, FOR_AN_IMAGE, OPEN_AT_ONCE, ConnectionBudget


def test_no_more_are_open_at_once() -> None:
    budget = ConnectionBudget(0.0)
    assert budget.refusal(OPEN_AT_ONCE - 1) is None
    assert "close some" in (budget.refusal(OPEN_AT_ONCE) or "")


def test_no_more_are_made_for_one_image() -> None:
    budget = ConnectionBudget(0.0)
    for number in range(FOR_AN_IMAGE):
        assert budget.refusal(0) is None, number
        budget.take(float(number))
    assert str(FOR_AN_IMAGE) in (budget.refusal(0) or "")


def test_a_burst_passes_and_the_next_one_waits() -> None:
    budget = ConnectionBudget(0.0)
    assert [budget.take(0.0) for _ in range(int(A_SECOND))] == [0.0] * int(A_SECOND)
    assert budget.take(0.0) > 0
    assert budget.take(1e6) == 0


@given(st.lists(st.floats(0, 3), max_size=400))
def test_the_rate_holds_however_they_come(pauses: list[float]) -> None:
    budget, now, starts = ConnectionBudget(0.0), 0.0, []
    for pause in pauses:
        now += pause
        starts.append(now + budget.take(now))
    for index, start in enumerate(starts):
        in_a_second = sum(start <= other <= start + 1 for other in starts[index:])
        assert in_a_second <= 2 * A_SECOND + 1
