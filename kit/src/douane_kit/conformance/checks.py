"""The checks of a plugin that runs, in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from .cases import Case, Outcome, Trial, differ
from .cutting import Cutting, Difference, Windows
from .declarations import FORMATS
from .findings import Finding, Report, show_image
from .growth import Growth
from .measurement import Measurement
from .programs import disagrees, through_engine
from .repeat import Repeat
from .runner import Runner
from .search import Search
from .subject import Subject
from .suspects import Suspects
from .transforming import Transforming
from .words import Words

Step = Callable[[str], None]


class Checks:
    """Runs the checks; `step` is called with the name of each. Raises GaveUp."""

    def __init__(
        self,
        runner: Runner,
        subject: Subject,
        suspects: Suspects,
        report: Report,
        words: Words,
        *,
        seed: int,
        effort: float,
        step: Step,
    ) -> None:
        self._runner = runner
        self._subject = subject
        self._suspects = suspects
        self._report = report
        self._words = words
        self._seed = seed
        self._effort = effort
        self._step = step

    def run(self, images: Sequence[bytes], *, may_refuse: bool) -> None:
        """Run all of them; `images` are those of the author, `may_refuse` is False if its code has no refusal."""
        corpus = self._search(images, may_refuse)
        if self._suspects.fails_always:
            return
        is_steady = self._check_repeat(corpus)
        if self._subject.reads_bytes:
            if is_steady:
                self._check_cuts(corpus)
            self._check_growth(corpus)
            if self._subject.described.is_transform:
                self._check_output()
        self._suspects.settle()
        if not self._report.findings:
            self._check_engine(corpus)

    def _search(self, images: Sequence[bytes], may_refuse: bool) -> list[Trial]:
        self._step("search")
        search = Search(self._runner, self._subject, self._words, self._seed, self._effort)
        try:
            search.run(images)
        finally:
            self._report.count("images tried", len(search.trials))
            self._report.verdicts.update(outcome.kind for _, outcome in search.trials)
            if not self._suspects.note_failure_of_all(search.trials):
                self._report.warn_of_one_answer(may_refuse=may_refuse)
                self._report.warn_of_unread(
                    sum(outcome.event("unread-unasked") is not None for _, outcome in search.trials)
                )
                self._suspects.note(search.trials)
        return search.corpus

    def _check_repeat(self, corpus: Sequence[Trial]) -> bool:
        """Return False if the same image gets different answers, so that no others can be compared."""
        self._step("repeat")
        repeat = Repeat(self._runner)
        finding = repeat.check(self._diverse(corpus))
        self._report.count("images tried again, in other processes and at other times", repeat.count)
        if finding is None:
            return True
        self._suspects.add(finding)
        self._runner.restart()
        self._runner.reload = finding.code == "keeps-state"
        if finding.code == "not-deterministic":
            self._report.note("what depends on the image alone could not be checked, because the answers vary")
        return finding.code != "not-deterministic"

    def _diverse(self, corpus: Sequence[Trial]) -> list[Case]:
        """Return cases with different answers, and some with many constants of the plugin."""
        tokens, usual = self._words.tokens, self._runner.usual
        texts = [b"\n".join(tokens[:24]) + b"\n", b"\n".join(tokens[:40][::-1]) + b"\n"]
        short = [(case, outcome) for case, outcome in corpus if len(case.data) <= 1 << 18 and not outcome.is_gone]
        by_answer: dict[object, Case] = {}
        for case, outcome in sorted(short, key=lambda pair: len(pair[0].data)):
            by_answer.setdefault(outcome.answer, case)
        cases = [case for case in by_answer.values() if case.data]
        step = max(1, len(cases) // 6)
        latest = [case for case, _ in short[-2:]]
        joined, plain = ([Case(data, facts=usual) for data in group] for group in (texts, (b"", b"A" * 5000)))
        return [*joined, *cases[::step][:6], *latest, *plain]

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
            (uncut, first, case, second), size = missed
            text = (
                f"it finds a text elsewhere in the image, and misses it across offset {size}: the plugin's own pieces "
                "overlap too little"
            )
            outcomes = (f"before it: {first.describe()}", f"across it: {second.describe()}")
            self._suspects.add(
                Finding("depends-on-cuts", text, show_image(case), outcomes, "", "differ", lambda: (uncut, case))
            )

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
            Finding(
                "depends-on-cuts",
                text,
                show_image(cut),
                outcomes,
                (second.trace or first.trace)[-1500:],
                "differ",
                lambda: (dataclasses.replace(cut, cuts=0), cut),
            )
        )

    def _check_growth(self, corpus: Sequence[Trial]) -> None:
        self._step("growth")
        measure = Measurement(self._runner, self._subject, self._suspects.note)
        for finding in Growth(measure, self._words, self._seed, self._effort).check(corpus):
            self._suspects.add(finding)
        self._report.count("measurements of time and memory", measure.count)
        if measure.largest >= 1 << 20:
            self._report.count("largest image, in MiB", measure.largest >> 20)
        self._report.notes += measure.notes

    def _check_output(self) -> None:
        self._step("transform")
        transforming = Transforming(self._runner, self._subject, self._seed)
        declared = [text for text in FORMATS if text and text in self._words.texts and text != "raw"]
        finding = transforming.check(
            [dataclasses.replace(self._runner.usual, disk_format=text) for text in declared[:4]]
        )
        if finding is not None:
            self._suspects.add(finding)
        self._report.count("outputs compared", transforming.count)

    def _check_engine(self, corpus: Sequence[Trial]) -> None:
        """Run a few cases through the engine, and compare."""
        self._step("engine")
        spec = self._subject.spec
        if self._subject.has_sockets or self._subject.described.is_transform:
            return
        usual = self._runner.usual
        chosen = [case.data for case, _ in corpus if case.facts == usual and len(case.data) <= 1 << 20][-3:]
        facts = dataclasses.replace(usual, findings=())  # there is no other plugin that could have any
        cases = [Case(data, 1 << 20, facts) for data in (b"", b"A", *chosen)]
        for case, outcome in zip(cases, self._runner.run(cases), strict=True):
            verdict, _ = through_engine(spec, self._subject.tier, case)
            self._report.count("images through the engine", 1)
            if verdict is not None and disagrees(verdict, outcome):
                text = f"the engine disagrees: {verdict.outcome}, {verdict.detail or verdict.message}"
                outcomes = (f"the suite: {outcome.describe()}", f"the engine: {verdict.outcome} {verdict.code}")
                self._suspects.add(_of_engine(text, case, outcomes))
                return


def _of_engine(text: str, case: Case, outcomes: tuple[str, ...]) -> Finding:
    return Finding("engine-differs", text, show_image(case), outcomes, "", "engine", lambda: (case,))
