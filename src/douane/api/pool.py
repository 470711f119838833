"""Threads for work that waits: the database, stores, the check of a token."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from .errors import RETRY_AFTER, HttpError

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """A bounded number of threads, and a bounded number of calls that wait for one."""

    def __init__(self, threads: int = 8, waiting: int = 4096) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="douane-api")
        self._limit = threads + waiting
        self._calls = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the call, from a thread. Raises HttpError 503 if too many calls wait already."""
        if self._calls >= self._limit:
            raise HttpError(
                503,
                "The image service has too many requests at the moment; repeat the request later.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        self._calls += 1
        try:
            context = contextvars.copy_context()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, lambda: context.run(function, *args, **kwargs))
        finally:
            self._calls -= 1

    def close(self) -> None:
        """Wait for the calls that run. Idempotent."""
        self._executor.shutdown(wait=True, cancel_futures=True)
