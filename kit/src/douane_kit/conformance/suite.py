"""The suite as a whole: load the plugin, run the checks within a limit of time, settle the faults that they suspect."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence

from douane import sandbox
from douane.engine import PluginSpec

from . import judge, words
from .cases import USUAL, Facts
from .checks import Checks, Step
from .findings import Report
from .loading import Loading
from .programs import check_program
from .runner import OFTEN, GaveUp, Runner
from .subject import Subject
from .suspects import Suspects

SECONDS = 70.0
SETTLE_SECONDS = 20.0


def examine(
    spec: PluginSpec,
    tier: sandbox.Tier,
    *,
    images: Sequence[bytes] = (),
    declared: Facts = USUAL,
    seed: int = 0,
    effort: float = 1.0,
    step: Step = lambda name: None,
) -> Report:
    """Run all checks on the plugin of `spec`, and return the findings; `step` is called with the name of each check.

    `images` are images of the author, to be used whole, cut short and changed. `declared` holds the properties and the
    findings of most images; they are varied too. The checks take about `effort` times a minute of processor time at
    most; with less, fewer images are tried.

    Raises PlanError if there is no such plugin or its configuration is wrong, NotRun, SandboxError.
    """
    began = time.monotonic()
    report = Report(spec.name, spec.use, seed, tier.value)
    subject = Subject(spec, tier)
    try:
        if subject.code.argv:
            step("program")
            check_program(spec, tier, images, declared, report)
        else:
            with _hypothesis_home():
                _run(subject, Runner(subject, declared), report, images, seed, effort, step)
    finally:
        subject.close()
    report.seconds = time.monotonic() - began
    return report


@contextlib.contextmanager
def _hypothesis_home() -> Iterator[None]:
    """Give hypothesis a temporary folder, so that it leaves the author's alone."""
    from hypothesis import configuration

    with tempfile.TemporaryDirectory() as home:
        configuration.set_hypothesis_home_dir(home)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(None)


def _run(
    subject: Subject, runner: Runner, report: Report, images: Sequence[bytes], seed: int, effort: float, step: Step
) -> None:
    """Run the checks in the processes of `runner`, which ends here."""
    runner.limit = SECONDS * max(0.6, effort)
    loading = Loading(runner, subject, report)
    try:
        loading.load()
        sources = subject.sources()
        known = _words_of(subject, runner.usual, sources, seed)
        suspects = Suspects(runner, subject, report, judge.broad_handlers(sources), known.names)
        try:
            if loading.can_run(suspects):
                checks = Checks(runner, subject, suspects, report, known, seed=seed, effort=effort, step=step)
                checks.run(images, may_refuse=any("Reject" in text for text in sources.values()))
        except GaveUp as reason:
            _give_up(runner, suspects, report, reason)
    finally:
        report.processes = runner.processes
        if runner.leftovers:
            report.note(
                f"after other images in the same process, and not in a new one, the outcome was: {runner.leftovers}; "
                "its instances leave memory, files or threads behind, no fault while a process serves one image only"
            )
        runner.close()


def _words_of(subject: Subject, declared: Facts, sources: dict[str, str], seed: int) -> words.Words:
    spec, described = subject.spec, subject.described
    pairs = [*declared.properties, *declared.findings]
    settings = (*spec.config.values(), *spec.texts.values(), *(part for pair in pairs for part in pair))
    return words.build(words.constants(sources, settings, described.cls), described.reads, seed)


def _give_up(runner: Runner, suspects: Suspects, report: Report, reason: GaveUp) -> None:
    """Settle what is suspected so far, in the time that is left for that."""
    report.note(str(reason))
    suspects.note(list(runner.recent))
    report.cut_short = str(reason) == OFTEN
    runner.limit = runner.spent + SETTLE_SECONDS
    runner.overflows = runner.slow = 0
    runner.restart()
    suspects.settle()
