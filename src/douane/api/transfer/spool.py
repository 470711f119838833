"""Keep an upload in a file of the default store, until a worker runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from douane.api.errors import RETRY_AFTER, HttpError
from douane.api.pool import Pool
from douane.stores import Staged, Store
from douane.units import show_size

from .image_body import ImageBody

RESERVE_BYTES = 256 << 20
"""Of the file system, which uploads leave free."""
WRITTEN_AT_ONCE = 512 << 10
"""Bytes that each upload holds in memory: with 4 MiB, 80 uploads at once took 300 MiB of the door."""


async def spool(body: ImageBody, store: Store, key: str, pool: Pool) -> int:
    """Keep the rest of the body under `key`; return its size in bytes, when it is durable.

    Whatever is raised, nothing stays: the HttpError of the body, StoreError, or HttpError 503 for a full disk.
    """
    staged = await pool.run(store.stage, key)
    try:
        size = await _copy(body, store, staged, pool)
        await pool.run(staged.finish, size)
    except BaseException:
        # In a thread, also if this task is cancelled: an object store takes its time, and the door has other clients.
        await asyncio.shield(pool.run(staged.discard))
        raise
    await pool.run(staged.close)
    return size


def require_room(store: Store, size: int | None) -> None:
    """Raise HttpError 503 if the store has no room for `size` more bytes."""
    free: Callable[[], int | None] | None = getattr(store, "free", None)
    room = free() if free is not None else None
    if room is not None and room < RESERVE_BYTES + (size or 0):
        raise HttpError(
            503,
            "The image service has no room for this upload at the moment; repeat the request later.",
            headers={"Retry-After": str(12 * RETRY_AFTER)},
            detail=f"the store has {show_size(room)} free, and uploads leave {show_size(RESERVE_BYTES)}",
        )


async def _copy(body: ImageBody, store: Store, staged: Staged, pool: Pool) -> int:
    offset = 0
    pieces: list[bytes] = []
    waiting = 0
    while True:
        piece = await body.read()
        if piece is not None:
            pieces.append(piece)
            waiting += len(piece)
        if pieces and (piece is None or waiting >= WRITTEN_AT_ONCE):
            await pool.run(write_pieces, store, staged, offset, pieces, waiting)
            offset, pieces, waiting = offset + waiting, [], 0
        if piece is None:
            return offset


def write_pieces(store: Store, staged: Staged, offset: int, pieces: list[bytes], size: int) -> None:
    """Write pieces of `size` bytes at `offset`. Raises StoreError, HttpError 503 for a full disk."""
    require_room(store, size)
    for piece in pieces:
        staged.write(memoryview(piece), offset)
        offset += len(piece)
