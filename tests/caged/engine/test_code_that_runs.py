"""The code that runs is the code whose digest is in the report."""

from __future__ import annotations

import marshal
import shutil
import sys
import venv
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path
from types import CodeType

import pytest

import douane_plugin
from douane.report import Report

CHECK = """
from douane_plugin import Inspector
class Check(Inspector):
    def inspect(self, image): return {{"answer": "{}"}}
"""
Run = Callable[..., Report]


def by_hash(source: bytes, code: CodeType, path: Path, *, checked: bool) -> bytes:
    """A cache that the interpreter takes without a look at the source, or because it names the source's hash."""
    flags = 3 if checked else 1  # PEP 552
    return MAGIC_NUMBER + flags.to_bytes(4, "little") + source_hash(source) + marshal.dumps(code)


def by_time(source: bytes, code: CodeType, path: Path) -> bytes:
    """A cache that names the time and the size of the source."""
    status = path.stat()
    numbers = (0, int(status.st_mtime), status.st_size)
    return MAGIC_NUMBER + b"".join(number.to_bytes(4, "little") for number in numbers) + marshal.dumps(code)


CACHES = {
    "unchecked": lambda *parts: by_hash(*parts, checked=False),
    "checked": lambda *parts: by_hash(*parts, checked=True),
    "time": by_time,
}


@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize("module", ["check", "vendor.check"])
def test_a_cache_with_other_code_than_its_source_is_not_run(run: Run, tmp_path: Path, kind: str, module: str) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    [libraries] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    shutil.copytree(Path(douane_plugin.__file__).parent, libraries / "douane_plugin")
    path = libraries / f"{module.replace('.', '/')}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CHECK.format("source"))
    cache = Path(cache_from_source(str(path)))
    cache.parent.mkdir(exist_ok=True)
    other = compile(CHECK.format("cache"), str(path), "exec")
    cache.write_bytes(CACHES[kind](path.read_bytes(), other, path))
    toml = f'[[plugin]]\nname = "check"\nuse = "{module}:Check"\npython = "{tmp_path}/venv/bin/python"\n'
    report = run(b"x", toml=toml)
    assert report.properties["check.answer"] == "source"
    assert cache.exists()
    assert sys.implementation.cache_tag in cache.name
