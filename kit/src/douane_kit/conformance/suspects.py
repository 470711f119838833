"""The faults that outcomes show, until they are confirmed, made small and added to the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from . import judge
from .cases import Case, Outcome, Trial, fails_always
from .findings import Finding, Report, show_image
from .judge import Fault
from .minimise import minimise
from .runner import GaveUp, Runner
from .subject import Subject

MAX_OF_A_CODE = 3
CONFIRM_SECONDS = 12.0
MINIMISED_BYTES = 1 << 18


class Suspects:
    """The smallest case for each fault.

    `broad` is from :func:`judge.broad_handlers`; `names` are names that properties may have.
    """

    def __init__(
        self, runner: Runner, subject: Subject, report: Report, broad: Mapping[str, list[range]], names: Sequence[str]
    ) -> None:
        self._runner = runner
        self._subject = subject
        self._report = report
        self._broad = broad
        self._names = names
        self.fails_always = False
        self._suspects: dict[tuple[str, str], tuple[Case, Outcome, Fault]] = {}

    def judge(self, case: Case, outcome: Outcome) -> Fault | None:
        """Return the fault that `outcome` shows, or None."""
        return judge.judge(case, outcome, self._broad)

    def add(self, finding: Finding) -> None:
        """Add a finding to the report, unless it has enough of that code."""
        if sum(1 for known in self._report.findings if known.code == finding.code) < MAX_OF_A_CODE:
            self._report.findings.append(finding)

    def _add_fault(self, fault: Fault, case: Case, outcome: Outcome, code: str | None = None) -> None:
        finding = Finding(
            code or fault.code,
            fault.text,
            show_image(case),
            (outcome.describe(),),
            outcome.trace[-1500:],
            cases=lambda: (case,),
        )
        self.add(finding)

    def note_failure_of_all(self, trials: Sequence[Trial]) -> bool:
        """Add a finding and return True if the plugin raised an exception in all `trials`.

        Not if one of them is a fault that has a code of its own.
        """
        if not fails_always(trials):
            return False
        faults = [self.judge(case, outcome) for case, outcome in trials]
        if any(fault is None or fault.code != "fails" for fault in faults):
            return False
        self.fails_always = True
        case, outcome = trials[0]
        errors = len({outcome.error for _, outcome in trials})
        more = f" ({errors} kinds of errors)" if errors > 1 else ""
        text = (
            f"it fails on every image that was tried, {len(trials)} of {len(trials)}{more}; "
            f"the first error: {outcome.error}: {outcome.message[:200]}"
        )
        self._add_fault(Fault("fails-always", "", text), case, outcome)
        return True

    def note(self, trials: Sequence[Trial]) -> None:
        """Judge each outcome, and keep the smallest case for each fault."""
        for case, outcome in trials:
            fault = self.judge(case, outcome)
            if fault is None:
                continue
            earlier = self._suspects.get(fault[:2])
            if earlier is None or len(case.data) < len(earlier[0].data):
                self._suspects[fault[:2]] = (case, outcome, fault)

    def settle(self) -> None:
        """Confirm the suspected faults, and add a finding for each; of several that hang, only one."""
        suspects, self._suspects = list(self._suspects.values()), {}
        suspects.sort(key=lambda suspect: len(suspect[0].data))
        hangs = [suspect for suspect in suspects if suspect[2].code == "hangs"]
        for case, outcome, fault in [*(suspect for suspect in suspects if suspect[2].code != "hangs"), *hangs[:1]]:
            same = [known for known in self._report.findings if known.code.startswith(fault.code)]
            if len(same) >= MAX_OF_A_CODE:
                continue
            try:
                self._confirm(case, outcome, fault)
            except GaveUp:
                self._add_fault(fault, case, outcome, "fails-on-content" if fault.code == "fails" else None)

    def _confirm(self, case: Case, outcome: Outcome, fault: Fault) -> None:
        plain = dataclasses.replace(case, trace=False)
        if fault.code == "hangs":
            again = self._runner.run_one(plain, seconds=CONFIRM_SECONDS)
            if again.kind == "hangs":
                self._add_fault(fault, case, again)
            elif again.wall > judge.SMALL_SECONDS and len(case.data) <= judge.SMALL_BYTES:
                text = f"it needs {again.wall:.3g} s for an image of {len(case.data)} bytes"
                self._add_fault(Fault(fault.code, fault.detail, text), case, again)
            return
        if fault[:2] in (("slow-growth", "small"), ("sleeps", "waits")):
            # Once may be a busy machine's fault, and the trace makes the plugin slower.
            faults = [self.judge(plain, self._runner.run_one(plain)) for _ in range(2)]
            if all(map(fault.is_like, faults)):
                self._add_fault(fault, case, outcome)
            return
        if fault.code == "died":
            self._add_fault(fault, case, outcome)
            return

        def holds(cases: list[Case]) -> list[bool]:
            trials = zip(cases, self._runner.run(cases), strict=True)
            return [fault.is_like(self.judge(tried, result)) for tried, result in trials]

        traced = dataclasses.replace(case, trace=True)
        if len(case.data) <= MINIMISED_BYTES and holds([traced])[0]:
            case, count = minimise(traced, holds)
            self._report.count("images tried to make one small", count)
            outcome = self._runner.run_one(case)
            fault = self.judge(case, outcome) or fault
        code = None
        if fault.code == "fails":
            code = judge.classify(
                case, outcome, self._runner.run, self._names, self._runner.usual, self._subject.reads_bytes
            )
        self._add_fault(fault, case, outcome, code)
