"""Why imports wait that no worker can run, and what to do about it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from douane.units import number_of


def why_stranded(count: int, needs: str | None, workers: Sequence[Mapping[str, Any]]) -> str:
    """The sentence about `count` imports with these needs, which no active one of the `workers` can run."""
    from douane.catalog.needs import can_run

    imports = f"{number_of(count, 'import')} {'waits' if count == 1 else 'wait'}"
    if not workers:
        return f"{imports}, and no worker runs: start `douane worker`, or a service with workers"
    able = sorted({worker["host"] for worker in workers if can_run(needs, worker["stores"])})
    if able:
        return (
            f"{imports}, and the workers that can run {'it' if count == 1 else 'them'} are cordoned: "
            f"`douane workers uncordon {able[0]}`{_and_others(able[1:])}"
        )
    return f"{imports} for a worker that reaches {_wanted(needs)}"


def _and_others(hosts: Sequence[str]) -> str:
    return f", or at {', '.join(hosts)}" if hosts else ""


def _wanted(needs: str | None) -> str:
    from douane.catalog.needs import stores_in

    stores = stores_in(needs)
    return f"the {'store' if len(stores) == 1 else 'stores'} {', '.join(stores)}"
