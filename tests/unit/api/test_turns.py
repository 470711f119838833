"""Of several requests about one open upload, the latest has its turn, when the one before has put its bytes away."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from douane.api.pool import Pool
from douane.api.transfer import turns as module
from douane.api.transfer.turns import Superseded, Turns, to_its_end
from douane.errors import CatalogError


class SilentBody:
    """The body of a client that says nothing more."""

    async def read(self) -> bytes | None:
        await asyncio.Event().wait()
        return None


def run(check: Callable[[Turns, list[str]], Coroutine[Any, Any, None]], holdings: Callable[[], set[str]]) -> list[str]:
    events: list[str] = []

    async def main() -> None:
        pool = Pool(threads=1)
        await check(Turns(holdings, pool), events)
        pool.close()

    asyncio.run(main())
    return events


async def receive(turns: Turns, name: str, events: list[str], has_begun: asyncio.Event) -> None:
    async with turns.turn("upload") as turn:
        with turns.receiving("upload", turn):
            events.append(f"{name} begins")
            has_begun.set()
            try:
                await turn.read(SilentBody())
            except Superseded:
                await asyncio.sleep(0)  # its bytes are put away
                events.append(f"{name} has put its bytes away")


def test_a_later_request_waits_until_the_earlier_has_put_its_bytes_away() -> None:
    async def check(turns: Turns, events: list[str]) -> None:
        has_begun = asyncio.Event()
        first = asyncio.create_task(receive(turns, "first", events, has_begun))
        await has_begun.wait()
        async with turns.turn("another"):  # another upload's turn stops nobody
            pass
        async with turns.turn("upload") as turn:
            events.append("second begins")
            assert not turn.is_stopped()
        await first

    assert run(check, lambda: {"upload"}) == ["first begins", "first has put its bytes away", "second begins"]


def test_an_upload_that_another_door_has_taken_ends_its_turn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    answers: list[set[str] | None] = [{"upload"}, None, set()]

    def holdings() -> set[str]:
        answer = answers.pop(0)
        if answer is None:
            raise CatalogError("the database is away")  # nobody knows, so nothing ends
        return answer

    async def check(turns: Turns, events: list[str]) -> None:
        for name in ("first", "second"):
            answers[:] = [{"upload"}, None, set()]
            await receive(turns, name, events, asyncio.Event())
            assert not answers

    assert len(run(check, holdings)) == 4


def test_a_cancellation_of_the_request_itself_is_none_of_the_turn() -> None:
    async def check(turns: Turns, events: list[str]) -> None:
        has_begun = asyncio.Event()
        task = asyncio.create_task(receive(turns, "first", events, has_begun))
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with turns.turn("upload"):
            events.append("second begins")

    assert run(check, lambda: {"upload"}) == ["first begins", "second begins"]


def test_a_call_in_a_thread_comes_to_its_end_before_the_cancellation() -> None:
    events: list[str] = []

    async def call() -> None:
        await asyncio.sleep(0.01)
        events.append("written")

    async def main() -> None:
        task = asyncio.create_task(to_its_end(call()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        events.append("cancelled")

    asyncio.run(main())
    assert events == ["written", "cancelled"]
