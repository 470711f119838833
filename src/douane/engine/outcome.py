"""The report of a run that is over."""

from __future__ import annotations

import time

from douane.host.base import PluginProcess
from douane.host.policy import clean, weigh
from douane.report import Bytes, Outcome, Proposed, Report, Verdict

from .digest_of_plan import plan_digest
from .run import Run


def make_report(run: Run, started: float) -> Report:
    """The outcome of `run`, which began at `started` (time.monotonic), with all that it produced."""
    processes = run.launched.plugins
    verdicts = [process.verdict for process in processes if process.verdict is not None]
    report = Report(
        outcome="accepted",
        verdicts=verdicts,
        received=run.streams.received(complete=run.all_received),
        stored=Bytes(size=0, complete=False),
        sandbox=run.launched.tier.value,
        temporary_bytes=run.launched.temporary_bytes,
        readers=[reader.verdict for reader in run.launched.readers if reader.verdict is not None],
        seconds=0.0,
        plan_sha256=plan_digest(run.launched.processes),
    )
    decisive = next((process for process in processes if process.spec.name == run.decisions.decisive), None)
    if decisive is not None and decisive.verdict is not None:
        verdict = decisive.verdict
        report.outcome = _weight(decisive, verdict)
        report.code, report.message, report.retry_after = verdict.code, verdict.message, verdict.retry_after
    elif run.error is not None:
        report.outcome, report.code, report.message = "undecided", run.error.code, clean(str(run.error))
    elif len(verdicts) != len(processes) or not report.received.complete or not run.streams.stored().complete:
        # Cannot happen; if it does, the image is not accepted.
        report.outcome, report.code = "undecided", "engine-failed"
        report.message = "the engine ended without having seen all of the image; this is a fault of Douane"
    elif report.received.size and not run.streams.stored().size:
        # An image may arrive without bytes, and `format` passes it then; a transform must not make it so.
        report.outcome, report.code = "refused", "empty"
        report.message = "nothing is left of the image: what it was unpacked or converted to has no bytes"
    else:
        report.stored = run.streams.stored()
        _accept(run, report)
    report.seconds = round(time.monotonic() - started, 6)
    return report


def _weight(process: PluginProcess, verdict: Verdict) -> Outcome:
    outcome = weigh(process.spec, verdict, is_transform=process.is_transform)
    return "undecided" if outcome == "accepted" else outcome  # cannot happen


def _accept(run: Run, report: Report) -> None:
    report.disk_format = run.decisions.image.disk_format
    report.container_format = run.decisions.image.container_format or "bare"
    for process in run.launched.plugins:
        verdict = process.verdict
        if verdict is None or verdict.outcome != "accepted" or process.spec.mode == "audit":
            continue  # an auditor only records
        report.properties.update(verdict.properties)
        report.proposed.update({name: Proposed(value, verdict.plugin) for name, value in verdict.proposed.items()})
        if process.plugin.code.is_format and run.is_stored(process):
            _take_format(verdict, report)


def _take_format(verdict: Verdict, report: Report) -> None:
    """Record the format that the format inspector identified in the stored bytes."""
    facts = {key.partition(".")[2]: value for key, value in verdict.properties.items()}
    disk_format, container = facts.get("disk_format"), facts.get("container_format")
    virtual_size = facts.get("virtual_size")
    report.disk_format = disk_format if isinstance(disk_format, str) else report.disk_format
    report.container_format = container if isinstance(container, str) else report.container_format
    report.virtual_size = virtual_size if isinstance(virtual_size, int) else report.virtual_size
