"""How long `douane upload` waits before another attempt."""

from itertools import pairwise

import pytest

from douane.client.patience import LONGEST_REQUESTED_SECONDS, Patience
from douane.errors import UploadError


def waits(patience_seconds: float, pauses: list[float]) -> Patience:
    return Patience(patience_seconds, lambda text: None, pauses.append)


def test_the_first_attempt_after_progress_comes_at_once_and_others_ever_later() -> None:
    pauses: list[float] = []
    patience = waits(10_000, pauses)
    for _ in range(12):
        patience.wait("why")
    assert pauses[0] < 0.1
    assert all(later > earlier for earlier, later in pairwise(pauses[:7]))
    assert max(pauses) <= 30 * 1.25
    patience.reset()
    patience.wait("why")
    assert pauses[-1] < 0.1


@pytest.mark.parametrize(
    ("value", "shortest"), [("7", 7), ("0", 0), ("x", 0), ("-5", 0), ("99999", LONGEST_REQUESTED_SECONDS)]
)
def test_it_waits_as_long_as_the_service_says_within_bounds(value: str, shortest: float) -> None:
    pauses: list[float] = []
    waits(100_000, pauses).wait("why", {"retry-after": value})
    assert shortest <= pauses[0] <= LONGEST_REQUESTED_SECONDS


def test_it_gives_up_and_says_why() -> None:
    patience = waits(1, [])
    with pytest.raises(UploadError, match="for 1 seconds: the house is full") as caught:
        patience.wait("the house is full", {"retry-after": "60"})
    assert caught.value.code == "service-away"
