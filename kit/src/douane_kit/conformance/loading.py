"""The first steps with a plugin: load it, and find out whether it can run at all with what it was given."""

from __future__ import annotations

from douane.engine import PlanError

from .cases import NOTHING_DECLARED, Case, Outcome
from .driver_process import Died, NotRun, Unusable
from .findings import Report
from .runner import Runner
from .subject import Subject
from .suspects import Suspects

CONFIGURATION_ERRORS = ("ValueError", "TypeError", "SettingError")


class Loading:
    """Starts the plugin of `subject`; the errors name the option or the key that helps."""

    def __init__(self, runner: Runner, subject: Subject, report: Report) -> None:
        self._runner = runner
        self._subject = subject
        self._report = report
        self._label = f"plugin {subject.spec.name!r} ({subject.spec.use})"

    def load(self) -> None:
        """Start the first process. Raises PlanError if the plugin cannot be imported, NotRun."""
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

    def can_run(self, suspects: Suspects) -> bool:
        """Run a few cases; return False if the constructor fails. Raises PlanError, NotRun."""
        cases = [
            self._subject.possible(Case(data, facts=facts))
            for data in (b"", b"A" * 700)
            for facts in (self._runner.usual, NOTHING_DECLARED)
        ]
        for case, outcome in zip(cases, self._runner.run(cases), strict=True):
            grant = (outcome.event("no-grant") or "").partition(":")[2]
            if outcome.kind != "failed":
                if grant:
                    self._report.note(f"it asks for the grant {grant!r}, which it was not given")
                continue
            self._explain_missing(outcome, grant)
            if outcome.stage == "configure":
                if outcome.error in CONFIGURATION_ERRORS and not outcome.is_bug:
                    error = PlanError(f"{self._label}: its configuration is refused: {outcome.message}")
                    error.add_note(outcome.trace)
                    raise error
                suspects.note([(case, outcome)])
                suspects.settle()
                return False
        return True

    def _explain_missing(self, outcome: Outcome, grant: str) -> None:
        """Raise NotRun if the plugin failed because it was not given something."""
        if grant:
            raise NotRun(
                f"{self._label} needs the grant {grant!r}, and cannot run without; give it one: "
                f"--grant {grant}=file:PATH (or dir:PATH, unix:PATH, tcp:HOST:PORT)"
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
