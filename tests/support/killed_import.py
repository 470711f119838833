"""A program that runs an import or a recovery and kills itself at one boundary; test_import_steps runs it.

    killed_import.py HOME IMAGE import|refuse|recover BOUNDARY

BOUNDARY is ``before:NAME`` or ``after:NAME`` of :data:`BOUNDARIES`, followed by ``#2`` for the second call.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from douane.catalog import Catalog
from douane.declared import DeclaredImage
from douane.engine import RunOptions, choose_tier, load_plan, open_source
from douane.imports import Home, image_import, import_image
from douane.stores import FileStore
from douane.stores import file as store_file
from douane.stores.staging_file import StagingFile

BOUNDARIES: dict[str, tuple[Any, str]] = {
    "stage": (FileStore, "stage"),
    "begin": (Catalog, "begin_new_import"),
    "inspect": (image_import, "inspect_image"),
    "finish": (StagingFile, "finish"),
    "ready": (Catalog, "ready_to_publish"),
    "record": (Catalog, "record_staged"),
    "publish": (FileStore, "publish"),
    "link": (os, "link"),
    "sync": (store_file, "sync_directory"),
    "unlink": (os, "unlink"),
    "activate": (Catalog, "activate"),
    "discard": (StagingFile, "discard"),
    "fail": (Catalog, "fail"),
    "take_over": (Catalog, "take_over"),
    "adopt": (FileStore, "adopt"),
}


def die_at(boundary: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Patch the function that `boundary` names, so that this process gets a signal there: it is killed, or paused."""
    when, _, rest = boundary.partition(":")
    name, _, call = rest.partition("#")
    calls = itertools.count(1)  # of any thread: each store has its own
    wanted = int(call or 1)
    owner, attribute = BOUNDARIES[name]
    real: Callable[..., Any] = getattr(owner, attribute)

    def patched(*args: Any, **keywords: Any) -> Any:
        is_wanted = next(calls) == wanted
        if is_wanted and when == "before":
            os.kill(os.getpid(), number)
        result = real(*args, **keywords)
        if is_wanted and when == "after":
            os.kill(os.getpid(), number)
        return result

    setattr(owner, attribute, patched)


def main(place: str, image: str, command: str, boundary: str) -> None:
    """Run `command` up to the boundary."""
    home = Home(Path(place))
    if command == "recover":
        die_at(boundary)
        home.recover()
        return
    plan = load_plan(None)
    tier = choose_tier(plan, None)
    die_at(boundary)
    declared = DeclaredImage(name="killed", disk_format="qcow2" if command == "refuse" else None)
    import_image(home, plan, declared, open_source(image), RunOptions(tier=tier))


if __name__ == "__main__":
    main(*sys.argv[1:])
