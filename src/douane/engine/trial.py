"""One plugin, alone, on an image of a test's: what `douane_plugin.testing` calls for a run in the real sandbox.

It is a pass like any other, in a cage like any other. What it lacks is what stands around a plugin in production:
no digests, nothing is stored but what a transform makes, and no `format` looks at that.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from douane import sandbox
from douane.declared import DeclaredImage
from douane.errors import DouaneError, PlanError, SinkError, SourceError
from douane.host.factory import member_for
from douane.host.log import LogLine
from douane.host.plugin_process import Member
from douane.plan.plan import Plan, parse_plan
from douane.plan.resolve import _find, resolve, under
from douane.report import Verdict
from douane.stream.ring import Ring, Stopped
from douane.stream.temp_files import nameless

from .inspect import check_declared, choose_tier
from .run import Pass

WHERE = "the test"


@dataclass(frozen=True)
class Tried:
    """What came of it. `output` is a descriptor of the new image, the caller's to close, or None."""

    verdict: Verdict
    tier: str
    unchanged: bool = False
    formats: dict[str, str | None] = field(default_factory=dict)
    output: int | None = None


def spec_for(module: str, name: str, file: str, python: str | None) -> str:
    """What to write under `use` for the class `name` that the test has imported from `file` as `module`.

    As a module where the plugin's interpreter finds the same file under that name, else as a file.
    """
    interpreter = sandbox.interpreter(Path(python) if python is not None else None)
    found = _find(module, interpreter.sys_path)
    same = found is not None and os.path.samefile(found, file)
    return f"{module}:{name}" if same else f"{os.path.abspath(file)}:{name}"


def try_plugin(
    table: Mapping[str, Any],
    pieces: Callable[[], Iterator[bytes | int]],
    size: int | None,
    declared: Mapping[str, Any],
    findings: Mapping[str, Any],
    *,
    tier: str | None,
    emit: LogLine,
) -> Tried:
    """Run the plugin of `table`, a ``[[plugin]]`` of the configuration, on the bytes and holes (lengths) of `pieces`.

    Each piece of 1 MiB or less is a chunk. `tier` None is the best that there is. Raises PlanError if it cannot be used
    as it is configured, SandboxError, and DouaneError if the pass failed for another reason than the plugin.
    """
    floor = "off" if tier == "off" else "strict"
    plan = parse_plan(
        {"plugin": [dict(table)], "sandbox": {"minimum": floor}, "import": {"digests": []}},
        where=WHERE,
        base=os.getcwd(),
    )
    chosen = choose_tier(plan, tier)
    image = DeclaredImage.from_json(declared)
    check_declared(plan, image)
    learned: dict[str, tuple[bool, bool]] = {}
    for _ in range(2):
        run = _Trial(plan, _Pieces(pieces, size), image, findings, emit, _sink(plan, learned))
        try:
            member = member_for(plan.plugins[0], chosen, run, learned)
            run.prepare([member])
            if not run.misjudged():
                run.run()
                return run.tried(member, chosen)
            learned = {member.spec.name: (member.is_transform, member.reads == "random")}
        finally:
            run.close()
    raise PlanError("the plugin describes itself differently each time it is loaded; its class must be the same")


def _sink(plan: Plan, learned: Mapping[str, tuple[bool, bool]]) -> _Sink | None:
    """Where the new image goes, if it looks as if there will be one."""
    spec = plan.plugins[0]
    if spec.name in learned:
        return _Sink() if learned[spec.name][0] else None
    interpreter = sandbox.interpreter(Path(under(spec.base, spec.python)) if spec.python is not None else None)
    return _Sink() if resolve(spec, interpreter.sys_path).transform else None


class _Pieces:
    """The image, as the test cuts it: every piece is a chunk of its own."""

    name = "the image"

    def __init__(self, pieces: Callable[[], Iterator[bytes | int]], size: int | None) -> None:
        self.size = size
        self._pieces = pieces

    def pump(self, ring: Ring) -> None:
        try:
            for piece in self._pieces():
                if isinstance(piece, int):
                    ring.hole(piece)
                    continue
                place = ring.reserve()
                ring.view[place : place + len(piece)] = piece
                ring.publish(place, len(piece))
        except Stopped:
            raise
        except BaseException as error:
            # The test's own generator, or an assertion in it (pytest's are no Exception, and would end this thread
            # without a word): whoever called has kept what was raised, and raises it again.
            raise SourceError(f"the image could not be read: {error}") from error

    def file(self) -> int | None:
        return None

    def close(self) -> None:
        """Whoever called closes it."""


class _Sink:
    """A file without a name for a transform's output."""

    def __init__(self) -> None:
        self.fd = nameless(tempfile.gettempdir())
        self.whole = False

    def open_read(self) -> int:
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def finish(self, size: int) -> None:
        os.ftruncate(self.fd, size)
        self.whole = True

    def explain(self, error: OSError) -> SinkError:
        return SinkError(f"the new image could not be kept in TMPDIR: {error.strerror}", code="temporary-full")


class _Trial(Pass):
    """A pass with one plugin; it ends with that plugin's answer, whatever of the image is left."""

    def __init__(
        self,
        plan: Plan,
        source: _Pieces,
        declared: DeclaredImage,
        findings: Mapping[str, Any],
        emit: LogLine,
        sink: _Sink | None,
    ) -> None:
        super().__init__(plan, source, declared, sink, emit, None, logging.DEBUG)
        self._findings = dict(findings)
        self._sink = sink
        self._unchanged = False

    def on_decided(self, member: Member, *, unchanged: bool) -> None:
        """If there is nothing to do, nobody is there who would read on."""
        self._unchanged = unchanged
        if not unchanged:
            super().on_decided(member, unchanged=False)

    def _force_decisions(self) -> None:
        """Short chunks fill the ring long before 4 MiB: nobody reads after the transform, so nothing need be held."""
        for segment in list(self._holds):
            if self.streams.rings[self._place[segment]].is_full:
                self._holds.pop(segment).drop()

    def _show_findings(self) -> None:
        for member in [one for one in self._asking if one.ready and one.verdict is None]:
            self._asking.remove(member)
            facts = {**self._facts(self._place[member.segment]), "findings": self._findings}
            member.show_image(facts, 0, None)

    def _finished(self) -> bool:
        verdict = self.members[0].verdict
        if self._over or verdict is None:
            return self._over
        return verdict.outcome != "accepted" or not self._outputs or self.streams.all_read()

    def tried(self, member: Member, tier: sandbox.Tier) -> Tried:
        """After the run. Raises DouaneError if something else than the plugin failed."""
        if self.error is not None:
            raise self.error
        verdict = member.verdict
        if verdict is None or verdict.outcome == "stopped":
            raise DouaneError("the run ended without an answer of the plugin; this is a fault of Douane")
        output = None
        if verdict.outcome == "accepted" and self._outputs and self._sink is not None:
            output = self._sink.open_read()
        formats = {
            "disk_format": self.declared.disk_format,
            "container_format": self.declared.container_format,
        }
        return Tried(verdict, tier.value, self._unchanged, formats, output)

    def close(self) -> None:
        super().close()
        if self._sink is not None:
            os.close(self._sink.fd)
            self._sink = None
