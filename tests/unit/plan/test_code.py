"""The code of a plugin is found, and its digest taken, without running any of it."""

from __future__ import annotations

import gc
import inspect
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import douane
from douane.plan.builtin import BUILT_IN
from douane.plan.code import find_code
from douane.plan.model import PluginSpec
from douane.plugins import ova


def test_several_threads_find_code_at_the_same_time():
    """A garbage collection lets other threads run in the middle of a parse; CPython 3.11 then raises SystemError."""
    assert len(inspect.getsource(ova)) > 10_000  # long enough for a collection to fall into it

    def yield_to_others(phase, info):
        time.sleep(0)

    threshold = gc.get_threshold()
    gc.callbacks.append(yield_to_others)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(4) as pool:
            specs = [PluginSpec(name="ova", use="ova") for _ in range(24)]
            codes = list(pool.map(lambda spec: find_code(spec, tuple(sys.path)), specs))
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(yield_to_others)
    assert {code.kind.is_transform for code in codes} == {True}


@pytest.mark.parametrize("use", BUILT_IN)
def test_the_digest_of_a_built_in_plugin_covers_the_readers_of_formats(use: str, tmp_path: Path) -> None:
    """Glance's attestations name the digest of the code that looked at an image: none may survive a new reader."""
    (tmp_path / "douane").mkdir()
    shutil.copy(Path(douane.__file__), tmp_path / "douane")
    shutil.copytree(Path(douane.__file__).parent / "plugins", tmp_path / "douane/plugins")
    spec = PluginSpec(name=use, use=use)
    original = find_code(spec, (str(tmp_path),))
    assert original.origin is not None
    assert original.origin.startswith(str(tmp_path))
    assert original.code_sha256 == find_code(spec, tuple(sys.path)).code_sha256
    with (tmp_path / "douane/plugins/formats/qcow2_header.py").open("a") as file:
        file.write("# a new line\n")
    assert find_code(spec, (str(tmp_path),)).code_sha256 != original.code_sha256
