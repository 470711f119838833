"""The signs of life of a door: its event loop runs, and the question of its health check is answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

from douane.imports.pulse import BEAT_SECONDS, beat

HEALTH_SECONDS = 60.0
"""How long an answer may take. A catalog that another process holds up is waited for (SQLite: 30 seconds), and a full
house answers 503 before that."""

Question = Callable[[], Awaitable[object]]


class DoorPulse:
    """Asks inside of the process: connections of others, however many, cannot hold up the question."""

    def __init__(
        self, question: Question, fd: int, *, every: float = BEAT_SECONDS, patience: float = HEALTH_SECONDS
    ) -> None:
        """The question may be answered by an error, too."""
        os.set_blocking(fd, False)
        self._question = question
        self._fd = fd
        self._every = every
        self._patience = patience

    async def run(self) -> None:
        """Give a sign as long as questions are answered, until it is cancelled."""
        loop = asyncio.get_running_loop()
        question = asyncio.create_task(self._ask())
        asked_at = loop.time()
        try:
            while True:
                if question.done():
                    question = asyncio.create_task(self._ask())
                    asked_at = loop.time()
                if loop.time() - asked_at < self._patience:
                    beat(self._fd)
                await asyncio.sleep(self._every)
        finally:
            question.cancel()

    async def _ask(self) -> None:
        with contextlib.suppress(Exception):
            await self._question()
