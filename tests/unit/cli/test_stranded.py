"""What `douane workers` says of imports that no worker can run."""

from __future__ import annotations

from typing import Any

import pytest

from douane.catalog.needs import needs_text
from douane.cli.stranded import why_stranded


def worker(host: str, *stores: str) -> dict[str, Any]:
    return {"host": host, "name": f"{host}-1", "state": "drained", "stores": list(stores)}


@pytest.mark.parametrize(
    ("count", "staged", "to", "workers", "sentence"),
    [
        (1, (), ("own",), [], "1 import waits, and no worker runs: start `douane worker`, or a service with workers"),
        (2, (), ("own",), [worker("a", "fast")], "2 imports wait for a worker that reaches the store own"),
        (
            1, ("fast", "slow"), ("b", "c"), [worker("a")],
            "1 import waits for a worker that reaches the stores b, c, fast, slow",
        ),
        (1, ("b",), ("b",), [worker("a")], "1 import waits for a worker that reaches the store b"),
        (
            2, (), ("fast",), [worker("a", "fast"), worker("b", "own"), worker("c", "fast")],
            "2 imports wait, and the workers that can run them are cordoned: `douane workers uncordon a`, or at c",
        ),
        (
            1, (), (), [worker("a")],
            "1 import waits, and the workers that can run it are cordoned: `douane workers uncordon a`",
        ),
    ],
)  # fmt: skip
def test_it_is_said_what_the_imports_wait_for_and_what_to_do(
    count: int, staged: tuple[str, ...], to: tuple[str, ...], workers: list[dict[str, Any]], sentence: str
) -> None:
    assert why_stranded(count, needs_text(staged, to), workers) == sentence
