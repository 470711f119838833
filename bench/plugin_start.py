"""The time from the start of a sandbox to the first byte of the plugin, against the start of a plain interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from douane import sandbox

from . import driving
from .harness import MiB, Row, Settings, in_turn, medians
from .workspace import random_image

PLAIN = [sys.executable, "-I", "-S", "-c", "pass"]


def measure(settings: Settings) -> list[Row]:
    """Rows of milliseconds, for each tier that this machine offers."""
    image = random_image(settings.directory / "small", MiB)
    best = sandbox.choose(None, sandbox.Tier.OFF)
    order = [sandbox.Tier.FULL, sandbox.Tier.STRICT, sandbox.Tier.OFF]
    tiers = order[order.index(best) :] if settings.tier is None else [sandbox.Tier(settings.tier)]
    plan = driving.make_plan(settings.directory, ["FirstByte"], [])

    def sandboxed(tier: sandbox.Tier) -> float:
        with _StartTimes() as start_times:
            report = driving.expect(driving.inspect(plan, image, tier.value), "accepted")
        if len(start_times.times) != 1:
            raise driving.WrongOutcome(f"{len(start_times.times)} sandboxes were started for one plugin")
        return (int(report.properties["firstbyte-0.at"]) - start_times.times[0]) / 1e6

    def plain() -> float:
        start = time.monotonic_ns()
        subprocess.run(PLAIN, stdin=subprocess.DEVNULL, check=True)
        return (time.monotonic_ns() - start) / 1e6

    runs: dict[str, Any] = {"plain": plain}
    runs |= {tier.value: lambda tier=tier: sandboxed(tier) for tier in tiers}
    samples = in_turn(settings.times(20, 3), runs)
    middle = medians(samples)
    return [
        Row(
            f"start of a plugin until its first byte, tier {tier}",
            middle[tier],
            middle["plain"],
            "python -I -S -c pass",
            "ms",
            max_ratio=None if tier == "off" else 3.0,
            samples={name: samples[name] for name in (tier, "plain")},
        )
        for tier in map(str, tiers)
    ]


class _StartTimes:
    """Records when the engine starts each sandbox (CLOCK_MONOTONIC, ns)."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self._start: Any = sandbox.start

    def __enter__(self) -> _StartTimes:
        def start(*args: Any, **keywords: Any) -> Any:
            self.times.append(time.monotonic_ns())
            return self._start(*args, **keywords)

        setattr(sandbox, "start", start)  # noqa: B010  # mypy allows no assignment to a module's function
        return self

    def __exit__(self, *_: object) -> None:
        setattr(sandbox, "start", self._start)  # noqa: B010  # as above
