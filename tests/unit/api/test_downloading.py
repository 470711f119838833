"""How large the pieces of downloads are: what a client costs that reads nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from douane.api.transfer.downloading import BUFFERED, FIRST_PIECE, LEAST_PIECE, MEMORY, PIECE, Downloads


def downloads(count: int) -> Downloads:
    made = Downloads()
    made.count = count
    return made


@given(count=st.integers(1, 100_000), taken=st.integers(0, 1 << 50))
def test_pieces_of_all_downloads_together_are_bounded(count: int, taken: int) -> None:
    piece = downloads(count).piece(taken)
    assert LEAST_PIECE <= piece <= PIECE
    assert piece == LEAST_PIECE or piece * BUFFERED * count <= MEMORY


def test_pieces_become_large_for_a_client_that_reads() -> None:
    assert downloads(1).piece(0) == FIRST_PIECE
    assert downloads(1).piece(64 << 20) == PIECE
