"""What a plan names is looked up by several imports of one process at a time."""

from __future__ import annotations

import gc
import inspect
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from douane.plan import resolve
from douane.plan.plan import PluginSpec
from douane.plugins import ova


def test_imports_at_once_look_their_plugins_up_without_failing():
    """A collection of garbage lets other threads run in the middle of a parse, which CPython 3.11 takes for a fault."""
    assert len(inspect.getsource(ova)) > 10_000  # long enough for a collection to fall into it

    def yield_to_others(phase, info):
        time.sleep(0)

    threshold = gc.get_threshold()
    gc.callbacks.append(yield_to_others)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(4) as pool:
            specs = [PluginSpec(name="ova", use="ova") for _ in range(24)]
            found = list(pool.map(lambda spec: resolve.resolve(spec, sys.path), specs))
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(yield_to_others)
    assert {one.transform for one in found} == {True}
