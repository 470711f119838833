"""Images in a pool of Ceph, as Glance's own driver leaves them: Nova and Cinder clone them.

`RbdStore` (`store.py`) takes the steps, and does no I/O of its own: it sends commands to `helper.py`, a program for the
system's Python, which has the bindings of librbd. `process.py` starts it and waits for its answers, each with a clock.
"""

from typing import Any

import msgspec

from douane.errors import PlanError

from .options import RbdOptions, check
from .store import RbdStore

__all__ = ["RbdOptions", "RbdStore", "open_pool"]


def open_pool(pool: str, **options: Any) -> RbdStore:
    """The store in a pool, named by the rest of its URL: ``rbd:POOL`` or ``rbd://POOL``. Raises PlanError."""
    name = pool.removeprefix("//")
    try:
        converted = msgspec.convert({"pool": name, **options}, RbdOptions)
    except msgspec.ValidationError as error:
        raise PlanError(f"the store rbd:{name:.80} has a wrong option: {error}") from error
    return RbdStore(check(converted, f"the store rbd:{name:.80}:"))
