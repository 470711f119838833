"""Fixtures that run a plan on real bytes, in real sandboxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from support import wire_programs


@pytest.fixture
def run(tier, tmp_path):
    """``run(data or path, specs, settings=..., toml=...)``: a report, from the real thing."""

    def go(image, plugins=(), *, settings=(), toml=None, declared=None, sink=None, log=None, size=None):
        if isinstance(image, bytes):
            path = tmp_path / "image"
            path.write_bytes(image)
            image = str(path)
        config = None
        if toml is not None:
            config = str(tmp_path / "plan.toml")
            Path(config).write_text(toml)
        plan = load_plan(config, extra=plugins, settings=settings)
        return inspect_image(
            plan,
            DeclaredImage.from_json(declared or {}),
            open_source(image, size=size),
            sink,
            RunOptions(tier=tier, emit=(lambda *line: log.append(line)) if log is not None else (lambda *line: None)),
        )

    return go


@pytest.fixture(scope="session")
def wire_c(tmp_path_factory):
    """The programs of tests/contract/wire_c are compiled."""
    wire_programs.compile_all(tmp_path_factory.mktemp("wire_c"))
