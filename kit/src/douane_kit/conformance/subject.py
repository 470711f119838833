"""The plugin under test: its code, its configuration, its cage, and what it says of itself."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from douane import sandbox
from douane.engine import PluginSpec
from douane.plan.code import SourceFile
from douane.plan.grants import open_grant
from douane.plan.resolve import resolve_plugin
from douane.stream.temp_files import ScratchFiles

CAGED = Path(__file__).with_name("caged")
ENTRY = "conformance_driver.main:main"
OVERHEAD_BYTES = 128 << 20
"""What the driver may take beside the plugin's own `memory`: slots, and what tracing notes."""

OPEN_FILES = 96


@dataclass
class Described:
    """What the class says of itself."""

    kind: str = "inspector"
    reads: str = "stream"
    name: str = ""
    parameters: list[dict[str, Any]] = field(default_factory=list)

    @property
    def transforms(self) -> bool:
        return self.kind == "transform"

    @property
    def head(self) -> int | None:
        """N of ``head:N``."""
        return int(self.reads[5:]) if self.reads.startswith("head:") else None

    @property
    def reads_bytes(self) -> bool:
        return self.reads not in ("nothing", "findings")


class Subject:
    """What is needed to start the plugin in a cage again and again. Raises PlanError if there is no such plugin."""

    def __init__(self, spec: PluginSpec, tier: sandbox.Tier) -> None:
        self.spec = spec
        self.tier = tier
        resolved = resolve_plugin(spec)
        self.code = resolved.code
        interpreter = resolved.interpreter
        self._interpreter = msgspec.structs.replace(interpreter, sys_path=(*interpreter.sys_path, str(CAGED)))
        self._programs = resolved.programs
        self.grants: dict[str, tuple[int, str]] = {}
        self._scratch: ScratchFiles | None = None
        self.described = Described()

    @property
    def has_sockets(self) -> bool:
        """One conversation serves one image, so that every case needs a cage of its own."""
        return any(not target.startswith("file:") for target in self.spec.grants.values())

    def open_grants(self) -> dict[str, tuple[int, str]]:
        """Each opened anew; the caller closes them. Raises PlanError, GrantUnavailable."""
        opened: dict[str, tuple[int, str]] = {}
        try:
            for name in self.spec.grants:
                opened[name] = open_grant(self.spec, name)
        except BaseException:
            for fd, _ in opened.values():
                os.close(fd)
            raise
        return opened

    def scratch(self) -> ScratchFiles | None:
        """Its files, made once."""
        if self._scratch is None and self.spec.scratch is not None:
            self._scratch = ScratchFiles(self.spec.scratch)
        return self._scratch

    def cage(self) -> sandbox.SandboxSpec:
        """A cage like that of production, with the driver in it."""
        return sandbox.SandboxSpec(
            tier=self.tier,
            interpreter=self._interpreter,
            bounds=sandbox.Bounds(
                memory=self.spec.memory + OVERHEAD_BYTES,
                threads=self.spec.threads,
                processes=self.spec.processes,
                open_files=OPEN_FILES,
                file_bytes=self.spec.scratch or 0,
            ),
            read=(*self.code.read, CAGED),
            programs=self._programs,
            name=self.spec.name,
        )

    def source(self) -> dict[str, str]:
        """The plugin's own files and their text, as far as they can be read."""
        if isinstance(self.code.target, SourceFile):
            return {self.code.target.path: self.code.target.source}
        found: dict[str, str] = {}
        for path in map(Path, self.code.read):
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                with contextlib.suppress(OSError, UnicodeDecodeError):
                    found[str(file)] = file.read_text()
        return found

    def close(self) -> None:
        """Give up what is open."""
        if self._scratch is not None:
            self._scratch.close()
