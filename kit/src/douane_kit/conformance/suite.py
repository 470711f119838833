"""The checks of the suite in their order, and what becomes of the faults that they suspect."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from douane import sandbox
from douane.engine import PlanError, PluginSpec

from . import judge, words
from .cases import NOTHING_DECLARED, USUAL, Case, Outcome, Trial, differ
from .cutting import Cutting, Difference, Windows
from .driver_process import Died, NotRun, Unusable
from .findings import Finding, Report, show_image
from .growth import Growth
from .programs import check_program, through_engine
from .repeat import Repeat
from .runner import OFTEN, GaveUp, Runner
from .search import FORMATS, Search
from .subject import Subject
from .suspects import Suspects
from .transforming import Transforming

SECONDS = 70.0
SETTLE_SECONDS = 20.0

Step = Callable[[str], None]


def examine(
    spec: PluginSpec,
    tier: sandbox.Tier,
    *,
    images: Sequence[bytes] = (),
    seed: int = 0,
    effort: float = 1.0,
    step: Step = lambda name: None,
) -> Report:
    """Run all checks on the plugin of `spec`, and return the findings; `step` is called with the name of each check.

    `images` are images of the author, to be used whole, cut short and changed. The checks take about `effort` times a
    minute of processor time at most; with less, fewer images are tried.

    Raises PlanError if there is no such plugin or its configuration is wrong, NotRun, SandboxError.
    """
    began = time.monotonic()
    report = Report(spec.name, spec.use, seed, tier.value)
    subject = Subject(spec, tier)
    try:
        if subject.code.argv:
            step("program")
            check_program(spec, tier, images, report)
        else:
            with _hypothesis_home():
                _Suite(subject, report, images, seed, step, effort).run()
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


class _Suite:
    def __init__(
        self, subject: Subject, report: Report, images: Sequence[bytes], seed: int, step: Step, effort: float
    ) -> None:
        self._subject = subject
        self._report = report
        self._images = images
        self._seed = seed
        self._step = step
        self._effort = effort
        self._runner = Runner(subject)
        self._label = f"plugin {subject.spec.name!r} ({subject.spec.use})"

    def run(self) -> None:
        runner = self._runner
        try:
            runner.limit = SECONDS * max(0.6, self._effort)
            try:
                self._load()
                sources = self._subject.sources()
                self._may_refuse = any("Reject(" in text for text in sources.values())
                self._words = self._find_words(sources)
                self._suspects = Suspects(
                    runner, self._subject, self._report, judge.broad_handlers(sources), self._words.names
                )
                if self._can_run():
                    self._check()
            except GaveUp as reason:
                self._report.note(str(reason))
                self._suspects.note(list(runner.recent))
                self._report.cut_short = str(reason) == OFTEN
                runner.limit = runner.spent + SETTLE_SECONDS
                runner.overflows = runner.slow = 0
                runner.restart()
                self._suspects.settle()
        finally:
            self._report.processes = runner.processes
            runner.close()

    # loading

    def _load(self) -> None:
        try:
            self._runner.start()
        except Unusable as unusable:
            outcome = unusable.outcome
            if outcome.is_configuration:
                raise PlanError(f"{self._label}: {outcome.message}") from unusable
            error = PlanError(f"{self._label}: it cannot be imported: {outcome.error}: {outcome.message}")
            error.add_note(outcome.trace)
            raise error from unusable
        except Died as died:
            reason = f"it did not load within {self._subject.spec.start:g} s" if died.hangs else died.reason
            raise PlanError(f"{self._label}: it cannot be imported: {reason}") from died

    def _find_words(self, sources: dict[str, str]) -> words.Words:
        spec, described = self._subject.spec, self._subject.described
        settings = (*spec.config.values(), *spec.texts.values())
        return words.build(words.constants(sources, settings, described.cls), described.reads, self._seed)

    def _can_run(self) -> bool:
        """Run a few cases; return False if the constructor fails. Raises PlanError, NotRun."""
        cases = [Case(data, facts=facts) for data in (b"", b"A" * 700) for facts in (USUAL, NOTHING_DECLARED)]
        for case, outcome in zip(cases, self._runner.run(cases), strict=True):
            grant = (outcome.event("no-grant") or "").partition(":")[2]
            if outcome.kind != "failed":
                if grant:
                    self._report.note(f"it asks for the grant {grant!r}, which it was not given")
                continue
            if grant:
                raise NotRun(
                    f"{self._label} needs the grant {grant!r}, and cannot run without; give it one: "
                    f"--grant {grant}=file:PATH (or unix:PATH, tcp:HOST:PORT)"
                )
            if outcome.event("no-scratch"):
                raise NotRun(
                    f"{self._label} needs scratch files, and cannot run without; give it a line such as "
                    "scratch = '1GiB' in a configuration: --config FILE --name NAME"
                )
            if outcome.is_program:
                raise NotRun(
                    f"{self._label} starts a program that it was not given ({outcome.message}); name it under "
                    "'programs' in a configuration: --config FILE --name NAME"
                )
            if outcome.stage == "configure":
                if outcome.error in ("ValueError", "TypeError", "SettingError"):
                    error = PlanError(f"{self._label}: its configuration is refused: {outcome.message}")
                    error.add_note(outcome.trace)
                    raise error
                self._suspects.note([(case, outcome)])
                self._suspects.settle()
                return False
        return True

    # the checks

    def _check(self) -> None:
        runner, report = self._runner, self._report
        self._step("search")
        search = Search(runner, self._subject, self._words, self._seed, self._effort)
        try:
            search.run(self._images)
        finally:
            report.count("images tried", len(search.trials))
            report.verdicts.update(outcome.kind for _, outcome in search.trials)
            if self._may_refuse:
                report.note_if_none_is_refused()
            self._suspects.note(search.trials)
        self._step("repeat")
        repeat = Repeat(runner)
        finding = repeat.check(self._diverse(search.corpus))
        report.count("images tried again, in other processes and at other times", repeat.count)
        if finding is not None:
            self._suspects.add(finding)
            runner.restart()
            runner.reload = finding.code == "keeps-state"
        if finding is not None and finding.code == "not-deterministic":
            report.note("what depends on the image alone could not be checked, because the answers vary")
        elif self._subject.reads_bytes:
            self._check_cuts(search.corpus)
        if self._subject.reads_bytes:
            self._check_growth(search.corpus)
            if self._subject.described.is_transform:
                self._check_output()
        self._suspects.settle()
        if not report.findings:
            self._check_engine(search.corpus)

    def _diverse(self, corpus: Sequence[Trial]) -> list[Case]:
        """Return cases with different answers, and some with many constants of the plugin."""
        tokens = self._words.tokens
        joined = [Case(b"\n".join(tokens[:24]) + b"\n"), Case(b"\n".join(tokens[:40][::-1]) + b"\n")]
        short = [(case, outcome) for case, outcome in corpus if len(case.data) <= 1 << 18 and not outcome.is_gone]
        by_answer: dict[object, Case] = {}
        for case, outcome in sorted(short, key=lambda pair: len(pair[0].data)):
            by_answer.setdefault(outcome.answer, case)
        cases = [case for case in by_answer.values() if case.data]
        step = max(1, len(cases) // 6)
        latest = [case for case, _ in short[-2:]]
        return [*joined, *cases[::step][:6], *latest, Case(b""), Case(b"A" * 5000)]

    def _check_cuts(self, corpus: Sequence[Trial]) -> None:
        self._step("cuts")
        cutting = Cutting(self._runner, self._words, self._seed, self._effort)
        try:
            difference = cutting.check(corpus)
        finally:
            self._suspects.note(cutting.trials)
            self._report.count("cuts of the same image compared", cutting.count)
        if difference is not None and not self._is_known(difference[3]):
            self._add_difference(cutting, difference)
        windows = Windows(self._runner, self._words)
        missed = windows.check(self._subject.head)
        self._report.count("positions of the same text compared", windows.count)
        if missed is not None:
            (_, first, case, second), size = missed
            text = (
                f"it finds a text elsewhere in the image, and misses it across offset {size}: the plugin's own pieces "
                "overlap too little"
            )
            outcomes = (f"before it: {first.describe()}", f"across it: {second.describe()}")
            self._suspects.add(Finding("depends-on-cuts", text, show_image(case), outcomes))

    def _is_known(self, outcome: Outcome) -> bool:
        """True if the difference is a fault that another finding reports: the cuts only bring it to light."""
        fault = self._suspects.judge(Case(b""), outcome)
        return fault is not None and fault.code not in ("fails", "says-nothing", "bad-properties")

    def _add_difference(self, cutting: Cutting, difference: Difference) -> None:
        # In new processes: a difference that comes from earlier images is another fault.
        uncut, first, cut, second = difference
        alone = []
        for case in (uncut, cut):
            self._runner.restart()
            alone.append(self._runner.run_one(case))
        if not differ(*alone):
            finding = Repeat(self._runner).check([uncut, cut])
            if finding is not None:
                self._suspects.add(finding)
            return
        _, first, cut, second = cutting.minimise((uncut, alone[0], cut, alone[1]))
        outcomes = (f"one chunk: {first.describe()}", f"{show_image(cut)['cuts']}: {second.describe()}")
        subject = "its answer" if first.kind == second.kind == "accepted" else "its verdict"
        text = f"{subject} depends on where the image is cut into chunks"
        self._suspects.add(
            Finding("depends-on-cuts", text, show_image(cut), outcomes, (second.trace or first.trace)[-1500:])
        )

    def _check_growth(self, corpus: Sequence[Trial]) -> None:
        self._step("growth")
        growth = Growth(self._runner, self._subject, self._words, self._seed, self._suspects.note, self._effort)
        for finding in growth.check(corpus):
            self._suspects.add(finding)
        self._report.count("measurements of time and memory", growth.count)
        if growth.largest >= 1 << 20:
            self._report.count("largest image, in MiB", growth.largest >> 20)
        self._report.notes += growth.notes

    def _check_output(self) -> None:
        self._step("transform")
        transforming = Transforming(self._runner, self._seed)
        declared = [text for text in FORMATS if text and text in self._words.texts and text != "raw"]
        finding = transforming.check([dataclasses.replace(USUAL, disk_format=text) for text in declared[:4]])
        if finding is not None:
            self._suspects.add(finding)
        self._report.count("outputs compared", transforming.count)

    def _check_engine(self, corpus: Sequence[Trial]) -> None:
        """Run a few cases through the engine, and compare."""
        self._step("engine")
        spec = self._subject.spec
        if spec.grants or self._subject.described.is_transform:
            return
        chosen = [case.data for case, _ in corpus if case.facts == USUAL and len(case.data) <= 1 << 20][-3:]
        cases = [Case(data, 1 << 20) for data in (b"", b"A", *chosen)]
        for case, outcome in zip(cases, self._runner.run(cases), strict=True):
            verdict, _ = through_engine(spec, self._subject.tier, case.data)
            self._report.count("images through the engine", 1)
            if verdict is None or verdict.outcome == "stopped" or outcome.proposed:
                continue  # the operator decides about what is proposed
            if verdict.outcome in ("failed", "timeout") and outcome.kind not in ("failed", "hangs", "died"):
                text = f"the engine disagrees: {verdict.outcome}, {verdict.detail or verdict.message}"
                outcomes = (f"the suite: {outcome.describe()}", f"the engine: {verdict.outcome} {verdict.code}")
                self._suspects.add(Finding("engine-differs", text, show_image(case), outcomes))
                return
