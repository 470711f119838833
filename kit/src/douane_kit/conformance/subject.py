"""The plugin under test: its code, its configuration, its sandbox, and the description of its class."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import msgspec

from douane import sandbox
from douane.engine import PluginSpec
from douane.host.advice import View
from douane.host.limits import bounds_of
from douane.host.messages import Described
from douane.plan.code import SourceFile
from douane.plan.path_grants import is_path_target
from douane.plan.resolve import resolve_plugin
from douane.stream.temp_files import ScratchFiles

from .cases import Case

CAGED = Path(__file__).with_name("caged")
ENTRY = "conformance_driver.main:main"
OVERHEAD_BYTES = 128 << 20
"""Memory for the driver beside the plugin's own `memory`."""

OPEN_FILES = 96


class Subject:
    """All that is needed to start the plugin in a sandbox. Raises PlanError if there is no such plugin.

    `described` is valid after the first start.
    """

    def __init__(self, spec: PluginSpec, tier: sandbox.Tier) -> None:
        self.spec = spec
        self.tier = tier
        resolved = resolve_plugin(spec)
        self.code = resolved.code
        interpreter = resolved.interpreter
        self._interpreter = msgspec.structs.replace(interpreter, sys_path=(*interpreter.sys_path, str(CAGED)))
        self._programs = resolved.programs
        self._scratch: ScratchFiles | None = None
        self.described = Described(api=1, kind="inspector", reads="stream", level=1)

    @property
    def head(self) -> int | None:
        """The N of ``reads = "head:N"``, or None."""
        reads = self.described.reads
        return int(reads[5:]) if reads.startswith("head:") else None

    @property
    def reads_bytes(self) -> bool:
        """True unless the plugin sees only declared facts and findings."""
        return self.described.reads not in ("nothing", "findings")

    @property
    def looks_into_guest(self) -> bool:
        """True if the plugin sees the files of the guest."""
        return self.described.reads in ("guest", "guest+findings", "files")

    @property
    def reads_file(self) -> bool:
        """True if the plugin gets the file of the image: that ends with its image."""
        return self.described.reads in ("random", "guest", "guest+findings")

    @property
    def has_sockets(self) -> bool:
        """True if a grant is a socket: its conversation serves one image, so every case needs a new process."""
        return not all(is_path_target(target) for target in self.spec.grants.values())

    def possible(self, case: Case) -> Case:
        """Return `case` as the engine could send it: a plugin that gets a complete file knows its size."""
        if not (self.reads_file or self.looks_into_guest) or case.facts.size:
            return case
        return dataclasses.replace(case, facts=dataclasses.replace(case.facts, size=True))

    @property
    def memory_bytes(self) -> int:
        """The memory of a process, in bytes."""
        return self.spec.memory + OVERHEAD_BYTES

    def scratch(self) -> ScratchFiles | None:
        """Return the scratch files, which all processes share one after the other; None if the plugin has none."""
        if self._scratch is None and self.spec.scratch is not None:
            self._scratch = ScratchFiles(self.spec.scratch)
        return self._scratch

    def sandbox_spec(self) -> sandbox.SandboxSpec:
        """Return the sandbox of production, with the driver in it."""
        return sandbox.SandboxSpec(
            tier=self.tier,
            interpreter=self._interpreter,
            bounds=bounds_of(self.spec, memory=self.memory_bytes, open_files=OPEN_FILES),
            read=(*self.code.read, CAGED),
            programs=self._programs,
            forks=self.spec.forks,
            messages=self.spec.may_send_messages(bool(self._programs)),
            name=self.spec.name,
        )

    def view(self, visible: tuple[str, ...]) -> View:
        """Return what the sandbox shows and allows, for advice."""
        target = self.code.target
        file = target.path if isinstance(target, SourceFile) else None
        return View(self.spec, self.tier, visible, file=file, open_files=OPEN_FILES)

    def sources(self) -> dict[str, str]:
        """Return the text of the plugin's own files by path, its main file first."""
        if isinstance(self.code.target, SourceFile):
            return {self.code.target.path: self.code.target.source, **self.code.target.sources}
        files: dict[str, str] = {}
        for path in map(Path, self.code.read):
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                with contextlib.suppress(OSError, UnicodeDecodeError):
                    files[str(file)] = file.read_text()
        return files

    def close(self) -> None:
        """Close the scratch files."""
        if self._scratch is not None:
            self._scratch.close()
