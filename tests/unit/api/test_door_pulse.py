"""The signs of life of a door."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from douane.api.process.door_pulse import DoorPulse


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


async def next_sign(fd: int) -> None:
    """Wait for a sign, and take all that are there."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    await ready.wait()
    loop.remove_reader(fd)
    os.read(fd, 4096)


def test_a_door_gives_signs_while_its_question_is_answered_also_by_errors(pipe: tuple[int, int]) -> None:
    asked = 0

    async def question() -> None:
        nonlocal asked
        asked += 1
        if asked % 2:
            raise RuntimeError("the catalog is away")

    async def watch() -> None:
        task = asyncio.create_task(DoorPulse(question, pipe[1], every=0.01).run())
        while asked < 4:
            await next_sign(pipe[0])
        task.cancel()

    asyncio.run(watch())


def test_a_door_whose_question_is_not_answered_gives_no_more_signs(pipe: tuple[int, int]) -> None:
    async def watch() -> int:
        rounds = 0

        async def question() -> None:
            await asyncio.Event().wait()

        pulse = DoorPulse(question, pipe[1], every=0.01, patience=0.0)
        task = asyncio.create_task(pulse.run())
        while rounds < 20:
            await asyncio.sleep(0.01)
            rounds += 1
        task.cancel()
        os.set_blocking(pipe[0], False)
        try:
            return len(os.read(pipe[0], 4096))
        except BlockingIOError:
            return 0

    assert asyncio.run(watch()) == 0
