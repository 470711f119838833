"""The sums of a file that is sent over lines that break: each byte counts once."""

import hashlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from douane.client import uploading
from douane.client.uploading import SentFile

DATA = bytes(range(256)) * 40


@settings(max_examples=50, deadline=None)
@given(
    reads=st.lists(st.tuples(st.integers(0, len(DATA)), st.integers(0, 30)), max_size=8),
    size=st.integers(0, len(DATA)),
    piece=st.integers(1, 700),
)
def test_however_often_and_from_where_it_is_sent(
    tmp_path_factory, reads: list[tuple[int, int]], size: int, piece: int
) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "sent"
    path.write_bytes(DATA[:size])
    file = SentFile.open(str(path), lambda position, total: None)
    uploading_piece, uploading.PIECE = uploading.PIECE, piece
    try:
        for start, pieces in reads:
            offset = min(start, size)
            received = b""
            for number, data in enumerate(file.read(offset, size)):
                received += data
                if number == pieces:
                    break
            assert DATA[:size][offset:].startswith(received)
        file.digest_rest()
        sums = file.sums.finish()
    finally:
        uploading.PIECE = uploading_piece
        file.close()
    assert sums == {name: hashlib.new(name, DATA[:size]).hexdigest() for name in sums}
