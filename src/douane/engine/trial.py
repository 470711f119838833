"""One plugin, alone, on an image of a test's: what `douane_plugin.testing` calls for a run in the real sandbox.

The run is like any other, in a sandbox like any other, but without the rest of a plan: no digests, nothing is stored
but a transform's output, and no format inspector looks at that. It ends with the plugin's answer.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from douane import sandbox
from douane.declared import DeclaredImage
from douane.errors import DouaneError, SourceError
from douane.host.launch import launch
from douane.host.log import LogLine
from douane.host.options import RunOptions
from douane.plan.module_files import find_module
from douane.plan.parse import parse_plan
from douane.plan.resolve import resolve_plan
from douane.report import Verdict
from douane.stream.ring import Ring, RingStopped
from douane.stream.sink import TempSink
from douane.stream.target import Target

from .inspect import check_declared, choose_tier
from .run import Run
from .stage import Output

WHERE = "the test"


@dataclass(frozen=True)
class Tried:
    """The plugin's answer. `output` is a descriptor of the new image, the caller's to close, or None."""

    verdict: Verdict
    tier: str
    unchanged: bool = False
    formats: dict[str, str | None] = field(default_factory=dict)
    output: int | None = None


def spec_for(module: str, name: str, file: str, python: str | None) -> str:
    """The text to write under `use` for the class `name` that the test has imported from `file` as `module`.

    It names the module where the plugin's interpreter finds the same file under that name, else the file.
    """
    interpreter = sandbox.interpreter(Path(python) if python is not None else None)
    origin = find_module(module, interpreter.sys_path)
    same = origin is not None and os.path.samefile(origin, file)
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

    Each piece of 1 MiB or less is a chunk. `tier` None is the best that there is. Raises PlanError if the plugin cannot
    be used as it is configured, SandboxError, and DouaneError if the run failed for another reason than the plugin.
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
    resolved = resolve_plan(plan, complete=False)
    options = RunOptions(emit=emit, log_level=logging.DEBUG)
    with (
        contextlib.closing(TempSink("for the test")) as output,
        launch(resolved, chosen, options, [Target(output)], stores_received=False) as launched,
        Run(launched, _Pieces(pieces, size), image, until="answered", findings=findings) as run,
    ):
        run.go()
        return _result(run, output)


def _result(run: Run, output: TempSink) -> Tried:
    """Raises DouaneError if something else than the plugin failed."""
    if run.error is not None:
        raise run.error
    verdict = run.launched.plugins[0].verdict
    if verdict is None or verdict.outcome == "stopped":
        raise DouaneError("the run ended without an answer of the plugin; this is a fault of Douane")
    decisions = run.decisions
    has_output = verdict.outcome == "accepted" and decisions.stages[0].output is not Output.NONE
    return Tried(
        verdict,
        run.launched.tier.value,
        decisions.unchanged,
        {"disk_format": decisions.image.disk_format, "container_format": decisions.image.container_format},
        output.open_read() if has_output else None,
    )


class _Pieces:
    """The image as the test cuts it: every piece is a chunk of its own."""

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
        except RingStopped:
            raise
        except BaseException as error:
            # The test's own generator, or an assertion in it (pytest's are no Exception, and would end this thread
            # without a word): the caller has kept what was raised, and raises it again.
            raise SourceError(f"the image could not be read: {error}") from error

    def file(self) -> int | None:
        return None

    def close(self) -> None:
        """The caller closes the image."""
