"""Images a second through a plugin that loads for a second: one process for many images, against one for each."""

from __future__ import annotations

import itertools

import msgspec

from douane.declared import DeclaredImage
from douane.engine import Plan, RunOptions, choose_tier, inspect_image, open_source
from douane.host.parked_process import ParkedProcess
from douane.host.pool import ProcessPool

from . import driving
from .harness import MiB, Row, Settings, in_turn, medians, timed
from .workspace import random_image

IMAGES = 10
MIN_RATIO = 5.0


def measure(settings: Settings) -> list[Row]:
    """Rows of images a second, in one thread, as a worker of the agent inspects them."""
    image = random_image(settings.directory / "small", MiB)
    alone = driving.make_plan(settings.directory, ["Model"], [])
    plugins = tuple(msgspec.structs.replace(plugin, reuse=IMAGES) for plugin in alone.plugins)
    plans = {"reuse = 1": alone, f"reuse = {IMAGES}": msgspec.structs.replace(alone, plugins=plugins)}

    def images_a_second(plan: Plan) -> float:
        pool: ProcessPool[ParkedProcess] = ProcessPool()
        options = RunOptions(tier=choose_tier(plan, settings.tier), pool=pool)

        def run() -> None:
            for _ in itertools.repeat(None, IMAGES):
                report = inspect_image(plan, DeclaredImage(), open_source(str(image)), options=options)
                driving.expect(report, "accepted")

        try:
            return IMAGES / timed(run)
        finally:
            pool.close()

    samples = in_turn(
        settings.times(5),
        {name: lambda plan=plan: images_a_second(plan) for name, plan in plans.items()},
        warm_up=False,
    )
    middle = medians(samples)
    against, ours = plans
    return [
        Row(
            f"a plugin that loads for 1 s, {ours}",
            middle[ours],
            middle[against],
            against,
            "images/s",
            min_ratio=MIN_RATIO,
            samples=samples,
        )
    ]
