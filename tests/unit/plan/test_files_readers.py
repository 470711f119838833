"""Which readers of files a plan has, and the table [guest]."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from douane.errors import PlanError
from douane.plan.builtin import BUILT_IN, FILES_READER, SHARED_PACKAGE
from douane.plan.model import GuestBounds, Plan
from douane.plan.module_files import find_module, shared_package
from douane.plan.parse import parse_plan
from douane.plan.resolve import resolve_plan
from douane.units import GiB, MiB

INSPECTOR = """from douane_plugin import Inspector
class Looks(Inspector):
    reads = "files"
"""


def plan(folder, *plugins: tuple[str, str], guest: dict[str, Any] | None = None, **fields: Any) -> Plan:
    """A plan of plugins as (name, use); "files" is one that reads files."""
    (folder / "looks.py").write_text(INSPECTOR)
    tables = [
        {"name": name, "use": "looks.py:Looks" if use == "files" else use, **fields.get(name, {})}
        for name, use in plugins
    ]
    return parse_plan({"plugin": tables, "guest": guest or {}}, where="plan.toml", base=str(folder))


def readers(resolved) -> list[tuple[str, int]]:
    return [(reader.spec.name, reader.stage) for reader in resolved.readers]


def test_a_stage_has_one_reader_for_all_its_plugins_and_none_without(tmp_path) -> None:
    assert readers(resolve_plan(plan(tmp_path, ("format", "format")))) == []
    both = plan(tmp_path, ("a", "files"), ("b", "files"), ("format", "format"))
    assert readers(resolve_plan(both)) == [("guest-files", 0)]
    stages = plan(tmp_path, ("guest-files", "files"), ("unpack", "decompress"), ("b", "files"), ("c", "files"))
    assert readers(resolve_plan(stages)) == [("guest-files-1", 0), ("guest-files-2", 1)]


def test_the_variant_of_a_store_has_its_own_reader(tmp_path) -> None:
    bound = {"stores": ["ceph"]}
    whole = plan(tmp_path, ("format", "format"), ("raw", "convert"), ("b", "files"), raw=bound, b=bound)
    assert readers(resolve_plan(whole.for_variant("ceph"))) == [("guest-files", 1)]


def test_the_reader_has_the_bounds_of_the_table(tmp_path) -> None:
    table = {"entries": 5, "depth": 6, "delivered": "1GiB", "memory": "64MiB", "stall": "5s", "timeout": 7}
    resolved = resolve_plan(plan(tmp_path, ("a", "files"), guest=table))
    [reader] = resolved.readers
    assert reader.spec.config == {"entries": 5, "depth": 6, "delivered": GiB}
    assert (reader.spec.memory, reader.spec.stall, reader.spec.timeout) == (64 * MiB, 5.0, 7.0)
    assert reader.spec.max_output == 3 * GiB
    assert plan(tmp_path, ("a", "files")).guest == GuestBounds()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"entrys": 1}, "did you mean 'entries'"),
        ({"entries": 0}, "at least 1"),
        ({"depth": 5000}, "at most 1000"),
        ({"depth": "deep"}, "'depth' is wrong"),
        ({"delivered": "much"}, "'delivered' is"),
        ({"memory": "1MiB"}, "at least 32MiB"),
        ({"stall": 0}, "'stall' is"),
    ],
)
def test_a_wrong_table_is_a_sentence(tmp_path, table, words) -> None:
    with pytest.raises(PlanError, match=words):
        plan(tmp_path, ("a", "files"), guest=table)


def test_no_plan_names_the_reader(tmp_path) -> None:
    with pytest.raises(PlanError, match="started by Douane"):
        resolve_plan(plan(tmp_path, ("a", FILES_READER)))


def test_the_digest_of_the_reader_covers_the_guest_view(tmp_path) -> None:
    resolved = resolve_plan(plan(tmp_path, ("a", "files"), ("format", "format")))
    assert resolved.readers[0].code.code_sha256 != resolved.plugins[1].code.code_sha256


@pytest.mark.parametrize("module", sorted({target.partition(":")[0] for target in BUILT_IN.values()}))
def test_the_digest_of_a_built_in_plugin_covers_the_guest_view_if_it_reads_guests(module: str) -> None:
    """Else a rescan would take the verdicts of an older reader for those of today."""
    names = [target.partition(":")[2] for target in BUILT_IN.values() if target.startswith(f"{module}:")]
    classes = [getattr(importlib.import_module(module), name) for name in names]
    reads_guest = any(getattr(each, "reads", "").startswith("guest") for each in classes)
    own = Path(find_module(module, tuple(sys.path)) or "")
    sources = own.parent.glob("**/*.py") if own.name == "__init__.py" else [own]
    imported = {
        match[1] for file in sources for match in re.finditer(r"^\s*from (douane_guest[.\w]*)", file.read_text(), re.M)
    }
    is_reader = reads_guest or any(not f"{each}.".startswith(f"{SHARED_PACKAGE}.") for each in imported)
    folder = "douane_guest" if is_reader else "headers"
    assert Path(shared_package(module, tuple(sys.path)) or "").name == folder


def test_the_digest_of_the_reader_of_files_covers_the_guest_view_too() -> None:
    assert Path(shared_package(FILES_READER.partition(":")[0], tuple(sys.path)) or "").name == "douane_guest"
