"""One image, one plan, one report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import msgspec

from douane import sandbox
from douane.declared import DeclaredImage
from douane.errors import DouaneError, PlanError
from douane.host.base import PluginProcess
from douane.host.launch import launch
from douane.host.log import INFO, LogLine
from douane.host.options import RunOptions, ignore_log
from douane.interrupts import INTERRUPTS
from douane.plan.bound_plugins import check_order
from douane.plan.model import Plan
from douane.plan.resolve import resolve_plan
from douane.report import Report
from douane.stream.sink import Sink
from douane.stream.source import Source
from douane.stream.target import Target
from douane.units import KiB

from .outcome import make_report
from .run import Run

DECLARED_BYTES = 64 * KiB
"""The largest declaration of an image, as JSON."""

DEFAULTS = RunOptions()


def inspect_image(
    plan: Plan,
    image: DeclaredImage,
    source: Source,
    sink: Sink | None = None,
    options: RunOptions = DEFAULTS,
    *,
    targets: Sequence[Target] = (),
    complete: bool = True,
) -> Report:
    """Run the image of `source` through `plan`, once, and write the result to `sink` and `targets`, if there are any.

    The report's outcome is "accepted" only if every byte was read and written and every plugin that has a say
    said yes. `sink` is a target that is required; each of the others says afterwards whether it holds the result,
    durably. With `complete` False no format inspector looks at the output of a transform: for a plan whose output is
    no image. `source` is closed. Raises PlanError if a plugin cannot be used as it is configured: nothing has been read
    then; or a part, if it is the constructor of a plugin that reads files which says so. Every other failure is an
    outcome, "undecided". Call it from a thread that outlives the call: the kernel ends the plugin processes when the
    thread that started them ends.
    """
    started = time.monotonic()
    with contextlib.closing(source), INTERRUPTS.deferred():
        check_declared(plan, image)
        resolved = resolve_plan(plan, complete=complete)  # reads files, starts nothing
        if sink is not None:
            targets = (Target(sink), *targets)
        with (
            launch(resolved, options.tier, options, targets, until="configured") as launched,
            Run(launched, source, image, progress=options.progress, watch=options.watch) as run,
        ):
            run.go()
            return make_report(run, started)


def choose_tier(plan: Plan, name: str | None) -> sandbox.Tier:
    """The tier of a run: exactly the one called `name`, or the best there is, not below the plan's floor.

    Raises SandboxError, which names the missing layer and the remedy.
    """
    return sandbox.choose(sandbox.Tier(name) if name is not None else None, sandbox.Tier(plan.minimum_sandbox))


def check_declared(plan: Plan, image: DeclaredImage) -> None:
    """Raise PlanError if the declared facts exceed one frame, or include a property in a plugin's namespace."""
    for name in image.properties:
        plugin = name.partition(".")[0]
        if "." in name and any(plugin == spec.name for spec in plan.plugins):
            raise PlanError(
                f"the declared property {name!r:.80} looks like a finding of the plugin {plugin!r}, which alone sets "
                f"{plugin}.*; leave it out, or name it otherwise"
            )
    try:
        size = len(msgspec.json.encode(image))
    except UnicodeEncodeError as error:
        raise PlanError(
            f"the declared name, formats and properties must be UTF-8 text: {error.object!r:.80}"
        ) from error
    if size > DECLARED_BYTES:
        raise PlanError(
            f"the declared name, formats and properties have {size} bytes in all; at most {DECLARED_BYTES} are taken"
        )


class Probed(msgspec.Struct, frozen=True):
    """The ended processes of a plan, described."""

    plugins: list[PluginProcess]
    readers: list[PluginProcess]
    """Of files."""

    @property
    def processes(self) -> list[PluginProcess]:
        """All of them."""
        return [*self.plugins, *self.readers]


def probe(plan: Plan, *, tier: sandbox.Tier, emit: LogLine = ignore_log, log_level: int = INFO) -> Probed:
    """Start every plugin of `plan` in its sandbox, configured, and end it.

    Raises PlanError if a plugin is configured wrongly, DouaneError if it does not start for another reason.
    """
    with (
        INTERRUPTS.deferred(),
        launch(resolve_plan(plan), tier, RunOptions(emit=emit, log_level=log_level)) as launched,
    ):
        for process in launched.processes:
            verdict = process.verdict
            # Its constructor died, a service that it needs is down, or it was too slow.
            if verdict is not None and verdict.outcome in ("failed", "timeout"):
                raise DouaneError(f"{verdict.message}: {(verdict.detail or '').rstrip()}")
        check_order([(process.spec, process.is_transform) for process in launched.plugins])
        return Probed(launched.plugins, launched.readers)


def can_refuse(processes: Sequence[PluginProcess]) -> bool:
    """False if a plan as :func:`probe` found it lets every image in, whatever its plugins say (``mode = "audit"`` or
    ``"warn"``). Plugins that are bound to stores do not count: other stores have the image without them."""
    unbound = [process for process in processes if not process.spec.stores]
    return any(process.is_transform or process.spec.mode == "enforce" for process in unbound)
