"""The engine's face: one image, one plan, one report."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from douane import sandbox
from douane.declared import DeclaredImage
from douane.errors import DouaneError, PlanError
from douane.host.factory import members_of
from douane.host.log import LogLine
from douane.host.plugin_process import Member
from douane.host.policy import weigh
from douane.interrupts import INTERRUPTS
from douane.plan.plan import Plan
from douane.report import Bytes, Outcome, Proposed, Report
from douane.stream.sink import Sink
from douane.stream.source import Source
from douane.units import KiB

from .run import Pass, Progress

DECLARED_BYTES = 64 * KiB
"""What a sender may declare of an image, in all."""


def choose_tier(plan: Plan, asked: str | None) -> sandbox.Tier:
    """The tier of this run: exactly `asked`, or the best there is, not below the plan's floor.

    Raises SandboxError with what is missing and what to do.
    """
    return sandbox.choose(sandbox.Tier(asked) if asked is not None else None, sandbox.Tier(plan.minimum_sandbox))


def inspect_image(
    plan: Plan,
    source: Source,
    declared: DeclaredImage,
    *,
    tier: sandbox.Tier,
    sink: Sink | None = None,
    emit: LogLine = lambda plugin, level, text: None,
    progress: Progress | None = None,
    log_level: int = logging.INFO,
) -> Report:
    """Let the image of `source` through `plan`, once. With `sink`, what comes out is written there, durable.

    The report's outcome is "accepted" only if every byte was read and written and every plugin that has a say
    said yes. `source` is closed. Raises PlanError if a plugin cannot be used as it is configured: nothing has
    been read then. Every other failure is an outcome, "undecided". Call it from a thread that outlives the call:
    the kernel ends the caged processes when the thread that started them ends.
    """
    began = time.monotonic()
    try:
        with INTERRUPTS.held():
            check_declared(plan, declared)
            run = prepare(plan, source, declared, tier, sink, emit, progress, log_level)
            try:
                run.run()
                return report_of(run, tier, began)
            finally:
                run.close()
    finally:
        source.close()


def check_declared(plan: Plan, declared: DeclaredImage) -> None:
    """What is declared must fit a frame that is sent at once, and be no plugin's to say. Raises PlanError."""
    for name in declared.properties:
        plugin = name.partition(".")[0]
        if "." in name and any(plugin == spec.name for spec in plan.plugins):
            raise PlanError(
                f"the declared property {name!r:.80} looks like a finding of the plugin {plugin!r}, which alone sets "
                f"{plugin}.*; leave it out, or name it otherwise"
            )
    try:
        size = len(msgspec.json.encode(declared))
    except UnicodeEncodeError as error:
        raise PlanError(
            f"the declared name, formats and properties must be UTF-8 text: {error.object!r:.80}"
        ) from error
    if size > DECLARED_BYTES:
        raise PlanError(
            f"the declared name, formats and properties have {size} bytes in all; at most {DECLARED_BYTES} are taken"
        )


def probe(plan: Plan, *, tier: sandbox.Tier, emit: LogLine = lambda plugin, level, text: None) -> list[Member]:
    """Start every plugin of `plan` in its cage, configured, and end it: the members, described.

    Raises PlanError if one is configured wrongly, DouaneError if one does not start for another reason.
    """
    with INTERRUPTS.held():
        run = prepare(plan, Nothing(), DeclaredImage(), tier, None, emit, None, logging.INFO)
        try:
            for member in run.members:
                # Its constructor died, a service that it needs is down, or it was too slow.
                if member.verdict is not None and member.verdict.outcome in ("failed", "timeout"):
                    raise DouaneError(f"{member.verdict.message}: {(member.verdict.detail or '').rstrip()}")
        finally:
            run.close()
        return run.members


def plan_digest(members: Sequence[Member]) -> str:
    """SHA-256 (hex) of a plan as :func:`probe` found it: its plugins, in order, their settings and their code."""
    digest = hashlib.sha256()
    for member in members:
        spec = msgspec.json.encode(msgspec.structs.replace(member.spec, config={}, texts={}, base=""), order="sorted")
        digest.update(b"\0".join((spec, member.spec.config_digest().encode(), member.resolved.code_sha256.encode())))
    return digest.hexdigest()


class Nothing:
    """A source for when no image is to be read."""

    name = "nothing"
    size: int | None = 0

    def pump(self, ring: Any) -> None:
        """There is nothing."""

    def file(self) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is open."""


def prepare(
    plan: Plan,
    source: Source,
    declared: DeclaredImage,
    tier: sandbox.Tier,
    sink: Sink | None,
    emit: LogLine,
    progress: Progress | None,
    log_level: int,
) -> Pass:
    """All plugins, started and ready. A second time with what the first start taught, if that was needed."""
    learned: dict[str, tuple[bool, bool]] = {}
    for _ in range(2):
        run = Pass(plan, source, declared, sink, emit, progress, log_level)
        try:
            run.prepare(members_of(plan, tier, run, learned))
        except BaseException:
            run.close()
            raise
        if not run.misjudged():
            return run
        learned = {member.spec.name: (member.is_transform, member.reads == "random") for member in run.members}
        run.close()
    raise PlanError("a plugin describes itself differently each time it is loaded; its class must be the same")


def report_of(run: Pass, tier: sandbox.Tier, began: float) -> Report:
    verdicts = [member.verdict for member in run.members if member.verdict is not None]
    report = Report(
        outcome="accepted",
        verdicts=verdicts,
        received=run.streams.received(),
        stored=Bytes(size=0, complete=False),
        sandbox=tier.value,
        temporary_bytes=run.temporary_bytes,
        seconds=0.0,
    )
    if run.decisive is not None and run.decisive.verdict is not None:
        verdict = run.decisive.verdict
        report.outcome = _weight(run.decisive)
        report.code, report.message, report.retry_after = verdict.code, verdict.message, verdict.retry_after
    elif run.error is not None:
        report.outcome, report.code, report.message = "undecided", run.error.code, str(run.error)
    elif len(verdicts) != len(run.members) or not report.received.complete or not run.streams.stored().complete:
        # Cannot happen; if it does, it is no accept.
        report.outcome, report.code = "undecided", "engine-failed"
        report.message = "the engine ended without having seen all of the image; this is a fault of Douane"
    else:
        report.stored = run.streams.stored()
        _accept(run, report)
    report.seconds = round(time.monotonic() - began, 6)
    return report


def _weight(member: Member) -> Outcome:
    assert member.verdict is not None
    outcome = weigh(member.spec, member.verdict)
    return "undecided" if outcome == "accepted" else outcome  # a transform's failure always weighs


def _accept(run: Pass, report: Report) -> None:
    report.disk_format = run.declared.disk_format
    report.container_format = run.declared.container_format or "bare"
    for member in run.members:
        verdict = member.verdict
        if verdict is None or verdict.outcome != "accepted" or member.spec.mode == "audit":
            continue  # an auditor only records
        report.properties.update(verdict.properties)
        report.proposed.update({name: Proposed(value, verdict.plugin) for name, value in verdict.proposed.items()})
        if member.resolved.is_format and run.is_stored(member):
            found = {key.partition(".")[2]: value for key, value in verdict.properties.items()}
            disk_format, virtual_size = found.get("disk_format"), found.get("virtual_size")
            container = found.get("container_format")
            report.disk_format = disk_format if isinstance(disk_format, str) else report.disk_format
            report.container_format = container if isinstance(container, str) else report.container_format
            report.virtual_size = virtual_size if isinstance(virtual_size, int) else report.virtual_size
